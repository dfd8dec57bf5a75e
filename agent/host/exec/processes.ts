import { readFile } from "node:fs/promises";
import type { Clock } from "../../contracts/ports.ts";

/** What /proc says about a process. */
export interface ProcessStatus {
  parent: number;
  /** One letter. Z has ended and waits to be reaped. */
  state: string;
}

/** undefined if there is no such process. */
export async function processStatus(pid: number): Promise<ProcessStatus | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // The second field is the name in parentheses, which may itself hold spaces and parentheses.
  const [state, parent] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === undefined ? undefined : { state, parent: Number(parent) };
}

/** Whether a process runs. One that has ended and was not reaped does not. */
export async function processRuns(pid: number): Promise<boolean> {
  const status = await processStatus(pid);
  return status !== undefined && status.state !== "Z" && status.state !== "X";
}

/** The command line as the process shows it, its words joined by spaces; empty if there is none. */
export async function commandLine(pid: number): Promise<string> {
  const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return words.replaceAll("\0", " ").trim();
}

export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

/** The process id in a pid file; undefined if the file does not exist or holds none. */
export async function readPidFile(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const pid = Number(text.trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** Whether a process ends within this time. */
export async function waitForEnd(pid: number, patienceMs: number, clock: Clock): Promise<boolean> {
  const deadline = clock.elapsed() + patienceMs;
  while (await processRuns(pid)) {
    if (clock.elapsed() > deadline) return false;
    await clock.sleep(20);
  }
  return true;
}
