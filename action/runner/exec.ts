import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { linesOf } from "../../shared/lines.ts";
import { maskUrls } from "../../shared/mask.ts";

export interface ExecRequest {
  argv: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Gets each line of output as it comes. */
  onLine?: (line: string) => void;
  signal: AbortSignal;
}

export interface ExecResult {
  code: number;
  stdout: string;
  /** Both streams in the order in which they came; the last 64 KiB. */
  output: string;
}

/** @throws the signal's reason if it is aborted; what `spawn` throws if the program cannot be started */
export type Exec = (request: ExecRequest) => Promise<ExecResult>;

const kept = 64 * 1024;

/**
 * Runs a program without a shell, in a process group of its own, so that an abort also ends the children that pip or a
 * build started. @actions/exec cannot do that: it takes no signal and does not give out the process. It runs git, which
 * needs neither.
 */
export const execute: Exec = async ({ argv, cwd, env, onLine, signal }) => {
  signal.throwIfAborted();
  const [program, ...args] = argv;
  const child = spawn(program ?? "", args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => killGroup(child.pid);
  signal.addEventListener("abort", stop, { once: true });
  const stdout: string[] = [];
  let output = "";
  const keep = (said: string) => {
    const line = maskUrls(said);
    output = `${output}${line}\n`.slice(-kept);
    onLine?.(line);
  };
  const lines = [
    readLines(child.stdout, (line) => {
      stdout.push(line);
      keep(line);
    }),
    readLines(child.stderr, keep),
  ];
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exit) => resolve(exit ?? 1));
    });
    await Promise.all(lines);
    signal.throwIfAborted();
    return { code, stdout: stdout.join("\n"), output };
  } finally {
    signal.removeEventListener("abort", stop);
  }
};

async function readLines(stream: Readable, each: (line: string) => void): Promise<void> {
  for await (const line of linesOf(stream)) each(line);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** The environment for pip and the project's commands: without the inputs of this step and the tokens of the job. */
export function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const hidden = /^(?:INPUT_|ACTIONS_ID_TOKEN_REQUEST_|ACTIONS_RUNTIME_TOKEN$)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !hidden.test(name)));
}
