import { CutoverError } from "../../../shared/errors.ts";

/** Why a token was refused. For the host's log and its files only; callers get `unauthorized` or `forbidden`. */
export type RefusalReason =
  | "token_missing"
  | "token_malformed"
  | "header_refused"
  | "app_unknown"
  | "settings_invalid"
  | "issuer_untrusted"
  | "algorithm_refused"
  | "audience_malformed"
  | "host_unknown"
  | "audience_mismatch"
  | "key_unknown"
  | "keys_unavailable"
  | "signature_invalid"
  | "expired"
  | "claim_invalid"
  | "lifetime_too_long"
  | "identity_mismatch"
  | "grant_missing"
  | "clock_behind"
  | "spent";

/** Thrown by a check. Its details are for the log and never hold a token or a part of one. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly details: Record<string, unknown>;

  constructor(reason: RefusalReason, details: Record<string, unknown> = {}) {
    super(reason);
    this.reason = reason;
    this.details = details;
  }
}

/** Why a call's token was refused, for the host's files; undefined where the error is another one. */
export function refusalOf(thrown: unknown): RefusalReason | undefined {
  const cause = thrown instanceof CutoverError ? thrown.cause : undefined;
  return cause instanceof Refusal ? cause.reason : undefined;
}

/** What the caller gets, who learns by it neither which apps there are nor how near the token was. */
export function publicError(refusal: Refusal): CutoverError {
  switch (refusal.reason) {
    case "grant_missing":
    case "clock_behind":
    case "spent":
      return forbidden(refusal);
    default:
      return unauthorized(refusal);
  }
}

export function unauthorized(cause?: unknown): CutoverError {
  return new CutoverError(
    "unauthorized",
    "The agent refused the token: either it has no app of this name, or the token does not prove what this call needs " +
      "(a repository or a key that the app trusts, this host's name, this app and call, not expired).",
    {
      unchanged: "Nothing was changed.",
      fix: "On the host, `cutover app list` shows the apps, `cutover app show` whom each one trusts, and the agent's log tells the exact reason: which claim of the token differs from what.",
      cause,
    },
  );
}

function forbidden(cause: unknown): CutoverError {
  return new CutoverError(
    "forbidden",
    "The token is genuine, but either its signer may not do this here, or the token was used before: each is good for one call.",
    {
      unchanged: "Nothing was changed.",
      fix: "Make a new token for each call. What a signer may do stands under `allow` in the app's settings file on the host; the agent's log tells the exact reason.",
      cause,
    },
  );
}

/** A claim or a header as the log may have it: cut to a length, and only the type of what is no text. */
export function short(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 400) : Array.isArray(value) ? "array" : typeof value;
}
