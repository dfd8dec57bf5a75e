import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";

export interface Finished {
  /** The exit code; 128 and the signal's number would be a shell's, here it is -1 for a signal. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Never throws for its exit code. */
export async function runProgram(
  argv: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const ended = endOf(child);
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** The exit code, -1 when a signal ended it. @throws what `spawn` reports when it cannot be started */
export function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? -1));
  });
}
