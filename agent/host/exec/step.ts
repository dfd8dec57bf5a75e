import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import prettyMs from "pretty-ms";
import { CutoverError } from "../../../shared/errors.ts";
import { LineSplitter } from "../../../shared/lines.ts";
import { abortReason } from "../abort-reason.ts";
import type { ViewMount } from "./step-view.ts";

/** One command of a build or a release. */
export interface StepRequest {
  /** The program and its arguments. No shell reads them. */
  argv: string[];
  cwd: string;
  /** The whole environment. Nothing of the agent's own environment is in it. */
  env: Record<string, string>;
  /** Whether it needs the network. Otherwise it has none, if the host can separate it. */
  network?: boolean;
  /** For a step of a build: what it sees of the data directory; the app's releases, to read, unless given. */
  mounts?: readonly ViewMount[] | undefined;
  /** Its standard input; empty unless given. */
  input?: string;
  timeoutMs: number;
  /** The time between SIGTERM and SIGKILL; 3,000 ms unless given. */
  graceMs?: number;
  signal: AbortSignal;
  /** Called with each line of output and of errors. It is untrusted text. */
  onLine(line: string): void;
}

/** Runs a step of a build. @returns its exit code @throws CutoverError aborted, timed_out */
export type StepRunner = (app: string, step: StepRequest) => Promise<number>;

/** How long output may still come from a process that left the step's group and outlives the step. */
const lastOutputMs = 500;
/** The longest time of a timer, about 24 days. */
const longestTimer = 2 ** 31 - 1;

/**
 * Runs a command to its end. What it started ends with it, so a step leaves nothing running.
 * @returns the exit code; 128 plus the signal's number if a signal ended it, 127 or 126 if it could not be started
 * @throws CutoverError aborted, timed_out
 */
export async function runStep(request: StepRequest): Promise<number> {
  const { argv, signal, timeoutMs, graceMs = 3000 } = request;
  if (signal.aborted) throw abortReason(signal);
  const child = start(request);
  let tooSlow = false;
  let killing: NodeJS.Timeout | undefined;
  const stop = () => {
    endGroup(child, "SIGTERM");
    killing ??= setTimeout(() => endGroup(child, "SIGKILL"), graceMs);
  };
  const limit = setTimeout(
    () => {
      tooSlow = true;
      stop();
    },
    Math.min(timeoutMs, longestTimer),
  );
  signal.addEventListener("abort", stop);
  try {
    const code = await ended(child, request);
    if (signal.aborted) throw abortReason(signal);
    if (tooSlow) throw timedOut(argv[0] ?? "", timeoutMs);
    return code;
  } finally {
    signal.removeEventListener("abort", stop);
    clearTimeout(limit);
    clearTimeout(killing);
  }
}

/** Longer lines are cut, so that a command without newlines cannot fill the memory. In UTF-16 units. */
export const longestLine = 8192;

type StepProcess = ChildProcessByStdio<Writable, Readable, Readable>;

function start({ argv, cwd, env, input = "" }: StepRequest): StepProcess {
  const [command = "", ...rest] = argv;
  // In a process group of its own, so that all of it can be ended together.
  const child = spawn(command, rest, { cwd, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  // The command may end before it has read all.
  child.stdin.on("error", () => undefined).end(input);
  return child;
}

async function ended(child: StepProcess, request: StepRequest): Promise<number> {
  const lines = [child.stdout, child.stderr].map((stream) => {
    const splitter = new LineSplitter(request.onLine, { longest: longestLine, tooLong: "cut" });
    stream.on("data", (bytes: Buffer) => splitter.write(bytes));
    return splitter;
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const code = await new Promise<number>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      request.onLine(`cannot start ${request.argv[0]} in ${request.cwd}: ${error.code ?? error.message}`);
      resolve(error.code === "EACCES" ? 126 : 127);
    });
    child.once("exit", (code, by) => resolve(code ?? 128 + (by === null ? 0 : constants.signals[by])));
  });
  endGroup(child, "SIGKILL");
  const patience = setTimeout(() => {
    child.stdout.destroy();
    child.stderr.destroy();
  }, lastOutputMs);
  await closed;
  clearTimeout(patience);
  for (const splitter of lines) splitter.end();
  return code;
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (thrown) {
    // All processes of the group have ended, or those that are left belong to another user.
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== "ESRCH" && code !== "EPERM") throw thrown;
  }
}

function timedOut(command: string, timeoutMs: number): CutoverError {
  return new CutoverError("timed_out", `${command} took longer than ${prettyMs(timeoutMs)}, and was ended.`, {
    unchanged: "The live release goes on serving.",
    fix: "Find out what it waits for, or give it more time (`release.timeout` in cutover.yml for the release command).",
  });
}
