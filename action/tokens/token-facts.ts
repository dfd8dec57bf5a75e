import { decodeJwt, decodeProtectedHeader, type JWTPayload } from "jose";
import { parseAudience } from "../../shared/audience.ts";
import { keyIssuer } from "../../shared/key.ts";

/** What of a token's claims a host compares with its settings. Who reads the workflow's log may know all of it. */
const told = [
  ["repository", "repository"],
  ["environment", "environment"],
  ["event_name", "event"],
  ["ref", "ref"],
  ["job_workflow_ref", "workflow"],
  ["runner_environment", "runner"],
  ["run_id", "run"],
] as const;

/** What a token says of this job, and what a host most often refuses of it. */
export interface TokenFacts {
  /** `host web1:7070, app shop, call deploy, repository acme/shop, no environment, event push`; empty for what is no token. */
  told: string;
  advice?: string;
}

/** For a person who must find out why a host refused the token. Nothing of the signature is in it. */
export function tokenFacts(token: string): TokenFacts {
  try {
    const claims = decodeJwt(token);
    const key = claims.iss === keyIssuer ? [`key ${decodeProtectedHeader(token).kid}`] : [];
    const advice = adviceOf(claims);
    return {
      told: [...callOf(claims), ...key, ...signerOf(claims)].join(", "),
      ...(advice !== undefined && { advice }),
    };
  } catch {
    return { told: "" };
  }
}

function adviceOf({ iss, event_name: event, environment }: JWTPayload): string | undefined {
  if (iss === keyIssuer) return undefined;
  if (event === "pull_request" || event === "pull_request_target") {
    return `A host takes nothing from ${event} unless \`events\` of its trust entry names it: deploy on push.`;
  }
  if (typeof environment === "string") return undefined;
  return "If the host's trust entry names an environment, write `environment:` with that name into this job.";
}

function callOf({ aud }: JWTPayload): string[] {
  const audience = typeof aud === "string" ? parseAudience(aud) : undefined;
  if (audience === undefined) return [];
  return [`host ${audience.host}`, `app ${audience.app}`, `call ${audience.operation.name}`];
}

function signerOf(claims: JWTPayload): string[] {
  return told.flatMap(([claim, word]) => {
    const value = claims[claim];
    if (typeof value === "string" && value !== "") return [`${word} ${value}`];
    // GitHub leaves the claim out if the job has no `environment`, and that is what a host refuses most often.
    return claim === "environment" && claims.iss !== keyIssuer ? ["no environment"] : [];
  });
}
