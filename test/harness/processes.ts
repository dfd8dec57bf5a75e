import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A process, told from a later one with the same id by when it started. Synchronous, so that it works while we exit. */
export interface ProcessId {
  pid: number;
  /** Clock ticks since the machine started. */
  start: string;
}

interface Entry extends ProcessId {
  parent: number;
}

/** undefined when there is no such process, or only its exit status is left. */
function readEntry(pid: number): Entry | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state, parent, start] = [fields[0], fields[1], fields[19]];
    if (state === "Z" || parent === undefined || start === undefined) return undefined;
    return { pid, parent: Number(parent), start };
  } catch {
    return undefined;
  }
}

export function processId(pid: number): ProcessId | undefined {
  return readEntry(pid);
}

export function isRunning({ pid, start }: ProcessId): boolean {
  return readEntry(pid)?.start === start;
}

/** These processes, as far as they run, and all that they started. */
export function withDescendants(roots: ProcessId[]): ProcessId[] {
  const entries = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readEntry(Number(name)))
    .filter((entry) => entry !== undefined);
  const found = new Map(roots.filter(isRunning).map((root) => [root.pid, root]));
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const entry of entries) if (found.has(entry.parent)) found.set(entry.pid, entry);
  }
  return [...found.values()];
}

/** The processes whose ids stand in `*.pid` files of a directory: daemons are nobody's children. */
export function processesOfPidFiles(directory: string): ProcessId[] {
  return namesIn(directory)
    .filter((name) => name.endsWith(".pid"))
    .map((name) => fromPidFile(join(directory, name), directory))
    .filter((process) => process !== undefined);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function fromPidFile(file: string, directory: string): ProcessId | undefined {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    // An old file may hold an id that another process has by now.
    if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(directory)) return undefined;
    return processId(pid);
  } catch {
    return undefined;
  }
}

export function signalAll(processes: ProcessId[], signal: NodeJS.Signals): void {
  for (const each of processes.filter(isRunning)) {
    try {
      process.kill(each.pid, signal);
    } catch {
      // It ended by itself in between.
    }
  }
}

/** @returns those that still run after the time */
export async function waitForEnd(processes: ProcessId[], ms: number): Promise<ProcessId[]> {
  const deadline = performance.now() + ms;
  let left = processes.filter(isRunning);
  while (left.length > 0 && performance.now() < deadline) {
    await sleep(20);
    left = left.filter(isRunning);
  }
  return left;
}

/** The command lines that hold these words, of whatever process, also one that nobody is the parent of. */
export function runningWith(...words: string[]): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
      return line.includes(words.join("\0")) ? [line] : [];
    } catch {
      return [];
    }
  });
}

/** Seconds that no other process of this machine sleeps, so that it can be found by them; and is gone soon in any case. */
export function uniqueNap(): string {
  return `90.${Math.floor(Math.random() * 1e9)}`;
}
