import type { JWTPayload } from "jose";
import { z } from "zod";
import type { Actor } from "../../../shared/protocol.ts";
import type { RepositoryIds } from "../../contracts/token-stores.ts";
import type { GithubTrust } from "../../settings.ts";
import { Refusal, short } from "./refusal.ts";

const text = z.string().min(1).max(400);
const id = z.string().regex(/^\d{1,20}$/);

/** The claims of GitHub's ID tokens that cutover reads. Ids are strings there. */
const githubClaims = z.object({
  repository: z.string().regex(/^[A-Za-z0-9-]{1,64}\/[A-Za-z0-9._-]{1,100}$/),
  repository_id: id,
  repository_owner_id: id,
  event_name: text,
  ref: text,
  /** Only if the job has one. */
  environment: text.optional(),
  actor: text,
  run_id: id,
  run_attempt: id.optional(),
});
export type GithubClaims = z.output<typeof githubClaims>;

/** @throws Refusal claim_invalid */
export function readGithubClaims(claims: JWTPayload): GithubClaims {
  const result = githubClaims.safeParse(claims);
  if (result.success) return result.data;
  const [claim = ""] = result.error.issues[0]?.path ?? [];
  throw new Refusal("claim_invalid", { claim, got: short(claims[String(claim)]) });
}

/** The first claim that differs from what the host's owner wrote. */
export interface Difference {
  claim: keyof GithubClaims;
  expected: string;
  got: string;
}

/** @param learnt the ids of a repository that is trusted by name; undefined before its first call */
export function difference(
  trust: GithubTrust,
  claims: GithubClaims,
  learnt: RepositoryIds | undefined,
): Difference | undefined {
  const expected: [keyof GithubClaims, string | undefined][] = [
    ["repository", trust.repository],
    ["repository_id", trust.repository_id ?? learnt?.repository_id],
    ["repository_owner_id", trust.owner_id ?? learnt?.owner_id],
    ["environment", trust.environment],
    ["ref", trust.ref],
  ];
  for (const [claim, value] of expected) {
    if (value !== undefined && claims[claim] !== value) {
      return { claim, expected: value, got: short(claims[claim] ?? "(none)") };
    }
  }
  return eventDifference(trust, claims);
}

/** A pull request may run a stranger's code; other events run code that is already in the repository. */
function eventDifference({ events }: GithubTrust, { event_name: got }: GithubClaims): Difference | undefined {
  const allowed = events === undefined ? !got.toLowerCase().startsWith("pull_request") : events.includes(got);
  if (allowed) return undefined;
  return { claim: "event_name", expected: events?.join(" or ") ?? "any but pull_request*", got: short(got) };
}

/** For people to read. The server comes from agent.yml; the rest of the address is digits and a checked name. */
export function githubActor({ repository, ref, actor, run_id, run_attempt }: GithubClaims, server: string): Actor {
  const attempt = run_attempt === undefined ? "" : `/attempts/${run_attempt}`;
  return {
    subject: `${repository}@${ref} by ${actor}`.slice(0, 300),
    repository,
    run_url: `${server}/${repository}/actions/runs/${run_id}${attempt}`,
  };
}
