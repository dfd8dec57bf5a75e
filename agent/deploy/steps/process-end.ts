import prettyMs from "pretty-ms";
import { endedStates, type ProcessGroup, type ProcessProgram } from "../../contracts/privileged.ts";
import type { DeployContext } from "../context.ts";

/** How the programs of a process end: they get one stop signal, and time to finish the job that they have in hand. */

const pollMs = 100;
/** supervisor kills when the stop time is over. The removal reports what outlives that. */
const afterKillMs = 5000;

export type Tell = (message: string) => void;

/** Whether all of its programs are up, or supervisor is about to start them. */
export function runs(group: ProcessGroup | undefined): boolean {
  return (
    group !== undefined && group.programs.length > 0 && group.programs.every(({ state }) => !endedStates.has(state))
  );
}

export function ofProcess(run: string, process: string) {
  return (group: ProcessGroup) => group.run === run && group.process === process;
}

/** @returns when they were asked */
export async function ask(
  { ports, state }: Pick<DeployContext, "ports" | "state">,
  groups: ProcessGroup[],
): Promise<number> {
  for (const { run, process } of groups) await ports.privileged.stopProcess(state.app, run, process);
  return ports.clock.elapsed();
}

/** Waits until these have ended, and removes each as soon as it has, so that a reboot does not start it again. */
export async function waitForEnd(
  { ports, state }: Pick<DeployContext, "ports" | "state">,
  groups: ProcessGroup[],
  { asked, signal, tell }: { asked: number; signal?: AbortSignal; tell: Tell },
): Promise<void> {
  let left = groups;
  while (left.length > 0) {
    const now = await ports.privileged.processes(state.app);
    const waited = ports.clock.elapsed() - asked;
    for (const group of left) {
      const { run, process, stopMs } = group;
      const programs = now.find(ofProcess(run, process))?.programs ?? [];
      const over = programs.every((program) => endedStates.has(program.state));
      if (!over && waited < stopMs + afterKillMs) continue;
      await ports.privileged.removeProcess(state.app, run, process);
      left = left.filter((other) => other !== group);
      if (runs(group)) tell(farewell(group, programs, waited));
    }
    if (left.length > 0) await ports.clock.sleep(pollMs, signal);
  }
}

function farewell({ run, process, stopMs }: ProcessGroup, programs: ProcessProgram[], waited: number): string {
  const killed = programs.filter(({ signalled }) => signalled && waited >= stopMs).map(({ name }) => name);
  if (killed.length === 0) return `${process} of ${run} was asked to stop and ended; waited ${prettyMs(waited)} for it`;
  const what = `${killed.join(", ")} of ${run} did not end within ${prettyMs(stopMs)} of its stop signal`;
  return `${what} and had to be killed; its current job was cut`;
}
