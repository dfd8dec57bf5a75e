import { readdirSync, readFileSync } from "node:fs";

/** What an instance's processes are told by: their environment, which children inherit. */
export interface Marks {
  /** CUTOVER_SHARED: which app of which agent. */
  shared: string;
  run: string;
  /** One instance; all of the run unless given. */
  instance?: string;
}

/**
 * Processes of an instance, as far as this user may look at them: workers outlive a master that was killed, and what made
 * itself a session of its own is not in supervisor's process group.
 */
export function processesOf({ shared, run, instance }: Marks): number[] {
  const marks = [`CUTOVER_SHARED=${shared}`, `CUTOVER_RUN=${run}`];
  const own = `CUTOVER_INSTANCE=${instance ?? ""}`;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const values = environmentOf(pid);
    // Commands of a release have the same environment without an instance.
    const belongs = (value: string) => (instance === undefined ? value.startsWith(own) : value === own);
    return marks.every((mark) => values.includes(mark)) && values.some(belongs);
  });
}

/** Empty for one that has ended and is not reaped, and for other users' processes. */
function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

export function signalEach(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself in between, or belongs to another user.
    }
  }
}
