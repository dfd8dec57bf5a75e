import { CutoverError } from "../../../shared/errors.ts";

/** Why a token was refused. Only the host's log and its files have it; callers get `unauthorized` or `forbidden`. */
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

/** Why a call's token was refused, for the host's files; undefined for any other error. */
export function refusalOf(thrown: unknown): RefusalReason | undefined {
  const cause = thrown instanceof CutoverError ? thrown.cause : undefined;
  return cause instanceof Refusal ? cause.reason : undefined;
}

/** The error for the caller. It shows neither which apps exist nor how close the token was. */
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
    "The agent refused the token. Either the host has no app of this name, or cannot read its settings file, or the token does not prove what this call needs: " +
      "a repository or a key that the app trusts, this host's name, this app, this call, and that it has not expired.",
    {
      unchanged: "Nothing was changed.",
      fix: "On the host, `cutover app list` shows the apps, `cutover app show` whom each one trusts, and `cutover doctor` a file that cannot be read. The agent's log has the exact reason: which claim of the token differs, and from what.",
      cause,
    },
  );
}

/** The signature holds, and the app trusts the signer: so it may know which rule refused the call. */
function forbidden(refusal: Refusal): CutoverError {
  const { message, fix } = rule(refusal.reason, refusal.details);
  return new CutoverError("forbidden", `The token is genuine, but ${message}`, {
    unchanged: "Nothing was changed.",
    fix,
    cause: refusal,
  });
}

function rule(reason: RefusalReason, details: Record<string, unknown>): { message: string; fix: string } {
  switch (reason) {
    case "spent":
      return {
        message: "it was used before: a token is good for one call.",
        fix: "Make a new token for each call, as the Action does.",
      };
    case "clock_behind":
      return {
        message: "the host cannot tell whether it was used before: its clock was or is wrong.",
        fix: "Set the host's clock (timedatectl set-ntp true), wait ten minutes, then run this again.",
      };
    default:
      return {
        message: `its signer may not make the call ${details.wanted}; allowed here: ${allowedOf(details)}.`,
        fix: `If it should, add ${details.wanted} to \`allow\` of its trust entry in the app's settings file on the host.`,
      };
  }
}

function allowedOf({ allow }: Record<string, unknown>): string {
  return Array.isArray(allow) && allow.length > 0 ? [...new Set(allow)].join(", ") : "nothing";
}

/** A claim or a header for the log: a string cut to a length, or the type of any other value. */
export function short(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 400) : Array.isArray(value) ? "array" : typeof value;
}
