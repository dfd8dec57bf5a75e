import { CutoverError } from "../../shared/errors.ts";

/** What an aborted signal means to a caller, unless its owner gave a reason in our own words. */
export function abortReason(signal: AbortSignal): CutoverError {
  if (signal.reason instanceof CutoverError) return signal.reason;
  return new CutoverError("aborted", "The deployment was aborted.", {
    unchanged: "The live release goes on serving.",
    fix: "Deploy again when it suits.",
  });
}
