import prettyMs from "pretty-ms";
import { CutoverError } from "../../shared/errors.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { fromProblem } from "../../shared/problem.ts";
import { type Failure, failure, protocolVersion } from "../../shared/protocol.ts";
import { type TokenFacts, tokenFacts } from "../tokens/token-facts.ts";
import { explainNetwork, nothingChanged } from "./network-fault.ts";
import { explainProxy } from "./proxy-answer.ts";

/** An answer with an error status, before it is known whether another attempt may help. */
export class Refusal extends Error {
  readonly status: number;
  /** undefined if it was not a problem document. Then it came from a proxy and not from the agent. */
  readonly problem: Failure | undefined;
  /** How far this machine's clock is ahead of the host's, in milliseconds; 0 if the answer does not say. */
  readonly aheadMs: number;
  /** What the call's token says of this job. */
  readonly sent: TokenFacts;
  readonly text: string;
  /** Where a redirect leads; empty if the answer is none. */
  readonly location: string;

  constructor(status: number, text: string, { aheadMs = 0, authorization = "", location = "" } = {}) {
    super(`HTTP ${status}`);
    this.text = text;
    this.location = location;
    this.status = status;
    this.aheadMs = aheadMs;
    this.sent = tokenFacts(authorization.replace(/^Bearer /, ""));
    this.problem = failure.safeParse(parseJson(text)).data;
  }
}

/** @param date of the answer's header `Date`, which has whole seconds */
export function clockAhead(date: unknown, now = Date.now()): number {
  const theirs = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(theirs) ? 0 : now - theirs;
}

/** What answers is an agent, and has no such path. */
export function knowsNoPath(thrown: unknown): boolean {
  return thrown instanceof Refusal && thrown.status === 404 && thrown.problem !== undefined;
}

/** The address has a path, and the agent answers without it. */
export function pathTooMany({ host, pathname }: URL, cause: unknown): CutoverError {
  return new CutoverError("agent_incompatible", `The agent at ${host} has nothing below ${pathname}.`, {
    unchanged: "Nothing was sent to this host.",
    fix: `Take ${pathname} out of \`hosts\`: write ${host} alone, with its http:// or https://.`,
    cause,
  });
}

/** The agent is restarting, or a proxy in front of it does not reach it at the moment. */
export function isPassing(thrown: unknown): boolean {
  if (!(thrown instanceof Refusal)) return isNetworkFault(thrown) && !isTlsFault(thrown);
  if (thrown.problem !== undefined) return isNotNow(thrown.problem);
  return thrown.status === 502 || thrown.status === 503 || thrown.status === 504;
}

/** The request cannot have reached the agent, so even a call that must not happen twice may be tried again. */
export function neverArrived(thrown: unknown): boolean {
  if (thrown instanceof Refusal) return thrown.problem !== undefined && isNotNow(thrown.problem);
  if (isTlsFault(thrown) || noTunnel.test(messageOf(thrown))) return true;
  return ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"].includes(codeOf(thrown));
}

/** A proxy made no tunnel to the host. Its library has no code for that. */
const noTunnel = /^tunneling socket could not be established/;

/** Whether the call may have done something, although it failed: nobody knows whether the agent got it. */
export function mayHaveWorked(thrown: unknown): boolean {
  if (thrown instanceof CutoverError || neverArrived(thrown)) return false;
  // An agent that refuses says so itself. What a proxy answers is not the agent's word.
  if (thrown instanceof Refusal) return thrown.problem === undefined && thrown.status >= 500;
  return true;
}

/** The whole host is unreachable, not only the agent. Another attempt helps less, and other hosts may be waiting. */
export function isAway(thrown: unknown): boolean {
  return ["EHOSTUNREACH", "ENETUNREACH"].includes(codeOf(thrown));
}

/** The agent refused before it looked at the call. */
function isNotNow({ code }: Failure): boolean {
  return code === "agent_stopping" || code === "too_many_calls";
}

function isNetworkFault(thrown: unknown): boolean {
  return codeOf(thrown) !== "" && !(thrown instanceof CutoverError) && !isOtherProtocol(thrown);
}

/** The connection came, and then no answer. */
export function hangsUp(thrown: unknown): boolean {
  return codeOf(thrown) === "ECONNRESET" || isOtherProtocol(thrown);
}

/** What answers does not speak HTTP. */
function isOtherProtocol(thrown: unknown): boolean {
  return codeOf(thrown).startsWith("HPE_");
}

function isTlsFault(thrown: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|EPROTO/.test(codeOf(thrown));
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException | null)?.code ?? "";
}

/** A call failed, and may have worked. */
export class UnsureError extends CutoverError {}

/**
 * Turns whatever a call threw into an error for a person.
 * @param unsure an attempt of this call may have worked
 */
export function explain(thrown: unknown, host: string, unsure = false): CutoverError {
  const error = explained(thrown, host);
  if (!unsure) return error;
  const { code, message, fix, evidence } = error;
  return new UnsureError(code, message, {
    unchanged: "It is not known whether the agent got this call. If it did, it goes on by itself, to the end or back.",
    fix: `Look at \`cutover status\` on the host before you run this again.${fix === undefined ? "" : ` ${fix}`}`,
    evidence,
    cause: error.cause ?? thrown,
  });
}

function explained(thrown: unknown, host: string): CutoverError {
  if (thrown instanceof CutoverError) return thrown;
  if (thrown instanceof Refusal) return explainRefusal(thrown, host);
  if (isOtherProtocol(thrown)) {
    return new CutoverError("agent_incompatible", `What answers at ${host} does not speak HTTP.`, {
      unchanged: nothingChanged,
      fix: "Check the address in hosts, and the port.",
      cause: thrown,
    });
  }
  return explainNetwork({ code: codeOf(thrown), message: messageOf(thrown), host }, thrown);
}

export const sameMajor = "Use an Action and an agent of the same major version.";
const noAgent =
  "Check the address in hosts, and above all its port: the agent listens on 7070, unless `listen` in /etc/cutover/agent.yml names another one; 80 and 443 are usually nginx.";

/** @param health what answered there said of itself; undefined if that is not an agent's answer */
export function incompatible(host: string, health: { version: string; protocol: number } | undefined): CutoverError {
  const what =
    health === undefined
      ? `What answers at ${host} is not a cutover agent.`
      : `The agent at ${host} is version ${health.version}, with protocol ${health.protocol}; this Action speaks protocol ${protocolVersion}.`;
  return new CutoverError("agent_incompatible", what, {
    unchanged: "Nothing was sent to this host.",
    fix: health === undefined ? noAgent : sameMajor,
  });
}

/** The address begins with http://, and TLS answers there. */
export function wantsTls(host: string, cause: unknown): CutoverError {
  return new CutoverError("agent_incompatible", `What answers at ${host} wants TLS.`, {
    unchanged: nothingChanged,
    fix: `Write the address in hosts as https://${host}.`,
    cause,
  });
}

/** The agent was silent for too long during a deployment. */
export function lost(host: string, cause: unknown): CutoverError {
  return new CutoverError("agent_unreachable", `The agent at ${host} stopped answering during the deployment.`, {
    unchanged: "The host goes on serving. When the agent is back, it finishes or undoes the deployment by itself.",
    fix: "Look at the agent's log on the host (`journalctl -u cutover-agent`), then at `cutover status`, and run this again.",
    cause,
  });
}

/** A token is valid for minutes, so a clock that is wrong by more than this may be why it was refused. */
const clockMs = 60_000;

function explainRefusal({ status, problem, aheadMs, sent, text, location }: Refusal, host: string): CutoverError {
  if (problem !== undefined) {
    const error = fromProblem(problem);
    const { code } = error;
    const told = code === "unauthorized" || code === "forbidden" ? withFacts(error, sent) : error;
    return code === "unauthorized" && Math.abs(aheadMs) > clockMs ? wrongClock(told, host, aheadMs) : told;
  }
  const { code, message, fix } = explainProxy({ status, text, location, host });
  return new CutoverError(code, message, { unchanged: nothingChanged, fix });
}

function messageOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return thrown.errors.map(messageOf).join("; ");
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * The host tells nobody which claim it refused. So this job says what it has claimed, to be compared with the host's settings.
 * A genuine caller knows the rule already.
 */
function withFacts(error: CutoverError, { told, advice }: TokenFacts): CutoverError {
  if (told === "") return error;
  const { code, message, unchanged, fix, cause } = error;
  const hint = code === "unauthorized" ? [advice] : [];
  const what = [...hint, fix].filter((text) => text !== undefined).join(" ");
  return new CutoverError(code, `${message} This job's token says: ${told}.`, {
    ...(unchanged !== undefined && { unchanged }),
    ...(what !== "" && { fix: what }),
    cause,
  });
}

function wrongClock({ code, message, unchanged, cause }: CutoverError, host: string, aheadMs: number): CutoverError {
  const way = aheadMs > 0 ? "ahead of" : "behind";
  return new CutoverError(
    code,
    `${message} This runner's clock is ${prettyMs(Math.abs(aheadMs), { compact: true })} ${way} that of ${host}.`,
    {
      ...(unchanged !== undefined && { unchanged }),
      fix: "Set the clock that is wrong (timedatectl set-ntp true), then run this again: a token is valid for a few minutes.",
      cause,
    },
  );
}
