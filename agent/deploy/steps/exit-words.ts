import { constants } from "node:os";
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

export interface Exited {
  program: string;
  /** supervisor's word, such as `BACKOFF: exit code 3`. */
  how: string;
  /** What its log says. */
  cause: Cause | undefined;
  /** Whether it printed anything. */
  printed: boolean;
  /** What a person can run in the project to see the same. */
  command: string | undefined;
}

export function exitWords({ program, how, cause, printed, command }: Exited): Words {
  const end = endIn(how);
  if (cause !== undefined && cause.vague !== true) {
    const message = sentence(`${program} exited during startup: ${cause.line}`);
    return { message, fix: cause.fix ?? readLog, frame: cause.frame };
  }
  const exited = `${program} ${end?.words ?? "exited during startup"}`;
  const fix = fixForEnd(end, command);
  if (cause !== undefined) {
    return { message: sentence(`${exited}: ${cause.line}`), fix: unless(fix) };
  }
  // supervisor promises details in a log that is empty.
  const bare = end === undefined ? ` (${how.replace(" (process log may have details)", "")})` : "";
  if (printed) return { message: `${exited}${bare}.`, fix: end === undefined ? readLog : fix };
  return { message: `${exited} and printed nothing${bare}.`, fix };
}

/** A word of a command by which a program leaves supervisor. */
const background = /(?:^|\s)(--detach|--daemon(?:ize|ized)?|--fork|-D|multi start)(?=\s|$)/;

function fixForEnd(end: End | undefined, command: string | undefined): string {
  const [, word] = background.exec(command ?? "") ?? [];
  if (word !== undefined && (end === undefined || end.code === 0)) return inForeground(word);
  return end === undefined ? foreground : fixForCode(end.code, command);
}

function inForeground(word: string): string {
  return `\`${word}\` in its command sends it to the background, where nothing watches it: take that out. supervisor keeps it running.`;
}

interface End {
  /** As a shell counts: 128 and more for a signal. */
  code: number;
  words: string;
}

function endIn(how: string): End | undefined {
  const [, code, signal] = /(?:^|: )(?:exit code (\d+)|killed by (SIG[A-Z]+)\b.*)$/.exec(how) ?? [];
  if (code !== undefined) return { code: Number(code), words: `exited during startup with exit code ${code}` };
  if (signal === undefined) return undefined;
  const number = constants.signals[signal as NodeJS.Signals] ?? 0;
  return { code: 128 + number, words: `was killed by ${signal} during startup` };
}

const { SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGILL } = constants.signals;
const crashes = new Set([SIGSEGV, SIGABRT, SIGBUS, SIGILL].map((signal) => 128 + signal));

/**
 * What to do about a program that ended without a reason.
 * @param code undefined if it is not known
 * @param said what it printed last, which may be the reason
 */
export function fixOf(code: number | undefined, command: string | undefined, said?: Cause): string {
  const fix = fixForCode(code, command);
  return said === undefined ? fix : unless(fix);
}

function unless(fix: string): string {
  return `If that does not say why: ${lowerFirst(fix)}`;
}

function fixForCode(code: number | undefined, command: string | undefined): string {
  const run = command === undefined ? "" : ` Run \`${command}\` in the project: `;
  if (code === 0) return `${foreground}${run === "" ? "" : `${run}it must not return.`}`;
  if (code === 128 + SIGKILL) {
    return "Most often the host has too little memory for it: look at `dmesg | grep -i oom`, then add memory, or let it need less: fewer `server.workers` or `server.instances`, smaller steps in a command.";
  }
  if (code !== undefined && crashes.has(code)) {
    return 'A package with C code crashes: PYTHONFAULTHANDLER: "1" in `env` of cutover.yml shows where. Pin the version that worked before.';
  }
  const why = 'Let it print why it ends, as `sys.exit("the reason")` does: look for `sys.exit(` and `os._exit(`.';
  return run === "" ? why : `${run.trim()} it should end in the same way. ${why}`;
}

export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function lowerFirst(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}
