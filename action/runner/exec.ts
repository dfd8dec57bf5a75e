import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { constants, setPriority } from "node:os";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { linesOf } from "../../shared/lines.ts";
import { maskUrls } from "../../shared/mask.ts";

export interface ExecRequest {
  argv: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Gets each line of output as it comes. */
  onLine?: (line: string) => void;
  signal: AbortSignal;
  /** It gets the processor time that nothing else wants. */
  inBackground?: true;
}

export interface ExecResult {
  /** It ended with exit code 0. */
  ok: boolean;
  /** How it ended, as a sentence: its exit code, the signal that killed it, or why it could not be started. */
  how: string;
  /** The first 64 MiB: what is read of a program is far shorter, and a command can print without end. */
  stdout: string;
  /** Both streams in the order in which they came; the last 64 KiB. */
  output: string;
}

/** @throws the signal's reason if it is aborted */
export type Exec = (request: ExecRequest) => Promise<ExecResult>;

const { priority } = constants;
const kept = 64 * 1024;
const longestStdout = 64 * 1024 * 1024;
/** For what is still in the pipes when the program has ended. */
const lastLinesMs = 1000;

/**
 * Runs a program without a shell, in a process group of its own, so that an abort also ends the children that pip or a
 * build started. @actions/exec cannot do that: it takes no signal and does not give out the process. It runs git, which
 * needs neither.
 */
export const execute: Exec = async ({ argv, cwd, env, onLine, signal, inBackground }) => {
  signal.throwIfAborted();
  const [program, ...args] = argv;
  const options = { cwd, env, detached: true } as const;
  let child: ChildProcessByStdio<null, Readable, Readable>;
  try {
    child = spawn(program ?? "", args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  } catch (thrown) {
    return { ...notStarted(program ?? "", thrown), stdout: "", output: "" };
  }
  if (inBackground === true) yieldTo(child.pid);
  const stop = () => killGroup(child.pid);
  signal.addEventListener("abort", stop, { once: true });
  const stdout: string[] = [];
  let room = longestStdout;
  let output = "";
  const keep = (said: string) => {
    const line = maskUrls(said);
    output += `${line}\n`;
    // Not at each line: a program may print millions.
    if (output.length > 2 * kept) output = output.slice(-kept);
    onLine?.(line);
  };
  const lines = Promise.allSettled([
    readLines(child.stdout, (line) => {
      room -= line.length + 1;
      if (room >= 0) stdout.push(line);
      keep(line);
    }),
    readLines(child.stderr, keep),
  ]);
  try {
    const end = await endOf(child, program ?? "");
    // A daemon that it left behind may keep its output open for ever.
    await Promise.race([lines, sleep(lastLinesMs, undefined, { signal, ref: false }).catch(() => undefined)]);
    signal.throwIfAborted();
    return { ...end, stdout: stdout.join("\n"), output: output.slice(-kept) };
  } finally {
    signal.removeEventListener("abort", stop);
    child.stdout.destroy();
    child.stderr.destroy();
  }
};

function endOf(child: ChildProcess, program: string): Promise<Pick<ExecResult, "ok" | "how">> {
  return new Promise((resolve) => {
    child.once("error", (thrown) => resolve(notStarted(program, thrown)));
    child.once("exit", (code, signal) => {
      const how = signal === null ? `It ended with exit code ${code}.` : `It was killed by ${signal}.`;
      resolve({ ok: code === 0, how: signal === "SIGKILL" ? `${how} Was there too little memory?` : how });
    });
  });
}

/** Node emits some of the errors of a start, and throws the others. */
function notStarted(program: string, thrown: unknown): Pick<ExecResult, "ok" | "how"> {
  const { code, message } = thrown as NodeJS.ErrnoException;
  return { ok: false, how: `${program} could not be started: ${code ?? message}.` };
}

async function readLines(stream: Readable, each: (line: string) => void): Promise<void> {
  // Nobody would read a longer line, and one without end would fill the memory.
  for await (const line of linesOf(stream, { longest: longestStdout, tooLong: "cut" })) each(line);
}

function yieldTo(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, priority.PRIORITY_LOW);
  } catch {
    // It has ended by itself.
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
