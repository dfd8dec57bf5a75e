import type { ProgramStatus } from "../../contracts/privileged.ts";
import { type ProgramGroup, statusOf } from "./program-group.ts";
import { groupName } from "./programs-file.ts";
import type { ProcessInfo, Supervisor } from "./supervisor.ts";

/** supervisord waits a second longer after each try that failed. After an outage of a day that is seven minutes. */
const longestWait = 30;
/** An EXITED program is started again at the next turn of supervisord's loop, which takes a second. */
const exitedWait = 5;

/** Whoever restarts a program by hand has it stopped for a moment. */
const stoppedWait = 5;

/**
 * Starts again what supervisord gave up on: FATAL, and EXITED for longer than its loop takes. A program in BACKOFF that has
 * waited for so long gets its next try at once.
 * @param stopped also what somebody has stopped
 * @returns the run's programs as they were before; undefined if supervisor does not know the run
 */
export async function revive(
  { app, run, supervisor }: Pick<ProgramGroup, "app" | "run" | "supervisor">,
  stopped: boolean,
): Promise<ProgramStatus[] | undefined> {
  const web = groupName(app, run);
  const all = await supervisor.getAllProcessInfo();
  if (!all.some(({ group }) => group === web)) return undefined;
  const own = all.filter(({ group }) => group === web || group.startsWith(`${web}+`));
  for (const info of own) await reviveOne(supervisor, info, stopped);
  return Promise.all(own.map((info) => statusOf(supervisor, info)));
}

async function reviveOne(supervisor: Supervisor, info: ProcessInfo, stopped: boolean): Promise<void> {
  const { group, name, statename, stop, now } = info;
  const ended = now - stop;
  // For a program in BACKOFF a start is refused: for supervisord it runs.
  const hurry = statename === "BACKOFF" && ended >= longestWait && (await supervisor.stopProcess(group, name));
  const over =
    statename === "FATAL" ||
    (statename === "EXITED" && ended >= exitedWait) ||
    (statename === "STOPPED" && stopped && ended >= stoppedWait);
  if (hurry || over) await supervisor.startProcess(group, name);
}
