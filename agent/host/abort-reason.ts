import { CutoverError } from "../../shared/errors.ts";

/** The error of an aborted signal: the CutoverError that it was aborted with, or `aborted`. */
export function abortReason(signal: AbortSignal): CutoverError {
  if (signal.reason instanceof CutoverError) return signal.reason;
  return new CutoverError("aborted", "The deployment was aborted.", {
    unchanged: "The live release goes on serving.",
    fix: "Deploy again when you are ready.",
  });
}
