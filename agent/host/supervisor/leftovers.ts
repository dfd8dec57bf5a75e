import { readdirSync, readFileSync } from "node:fs";

/** How the processes of an instance are recognized: by their environment, which children inherit. */
export interface Marks {
  /** CUTOVER_SHARED: which app of which agent. */
  shared: string;
  run: string;
  /** All instances of the run unless given. */
  instance?: string;
}

/**
 * The process ids of an instance, as far as this user may see them. Workers outlive a master that was killed, and a process
 * with a session of its own is not in supervisor's process group.
 */
export function processesOf({ shared, run, instance }: Marks): number[] {
  const marks = [`CUTOVER_SHARED=${shared}`, `CUTOVER_RUN=${run}`];
  const own = `CUTOVER_INSTANCE=${instance ?? ""}`;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const values = environmentOf(pid);
    // Commands of a release have the same environment, but no instance.
    const belongs = (value: string) => (instance === undefined ? value.startsWith(own) : value === own);
    return marks.every((mark) => values.includes(mark)) && values.some(belongs);
  });
}

/** Empty for a process that has ended and is not reaped, and for those of other users. */
function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/** Sends a signal to each process. No error for one that has ended. */
export function signalEach(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended in the meantime, or belongs to another user.
    }
  }
}
