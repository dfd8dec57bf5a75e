import { type Cause, findCause, releaseFile } from "../../../shared/causes/cause.ts";
import type { Evidence } from "../../../shared/errors.ts";

/** What a person reads of a program that exited while it started. */

export interface Words {
  message: string;
  fix: string;
  /** Where in the project the cause is. */
  frame?: Cause["frame"];
}

/** For a CutoverError, of which an absent part is left out. */
export function wordsOf({ fix, frame }: Omit<Words, "message">) {
  return { fix, ...(frame !== undefined && { frame }) };
}

export const readLog =
  "Read the last lines of its log, which are with this message, correct the cause and deploy again.";
const foreground =
  "It must stay in the foreground (no `daemon`, no `&`) and print its errors: then its log says why it exited.";

/**
 * The first of these logs that says why.
 * @param failed whether the program has ended: then its last line counts, even if it does not look like an error
 */
export function causeIn(app: string, logs: Evidence[], failed = true): Cause | undefined {
  for (const { text } of logs) {
    const cause = findCause(text, { app, where: "host", projectFile: releaseFile, lastLine: failed });
    if (cause !== undefined) return cause;
  }
  return undefined;
}

/**
 * @param how supervisor's word, for a program whose log does not say why
 * @param printed whether it printed anything
 */
export function exitWords(program: string, how: string, cause: Cause | undefined, printed: boolean): Words {
  if (cause !== undefined) {
    const message = sentence(`${program} exited during startup: ${cause.line}`);
    const known = cause.vague === true ? `If that does not say why: ${lowerFirst(foreground)}` : readLog;
    return { message, fix: cause.fix ?? known, frame: cause.frame };
  }
  if (printed) return { message: `${program} exited during startup (${how}).`, fix: readLog };
  // supervisor promises details in a log that is empty.
  const bare = how.replace(" (process log may have details)", "");
  return { message: `${program} exited during startup and printed nothing (${bare}).`, fix: foreground };
}

export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function lowerFirst(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
