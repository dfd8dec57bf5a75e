import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { endedStates, type ProgramStatus } from "../../contracts/privileged.ts";
import { effect } from "../../effects.ts";
import { commandLine, processStatus } from "../exec/processes.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../store/durable.ts";
import { readIfExists } from "../store/read-if-exists.ts";
import { groupName, programsFileName, stopSecondsOf } from "./programs-file.ts";
import type { ProcessInfo, Supervisor } from "./supervisor.ts";

export interface ProgramGroup {
  app: string;
  run: string;
  /** One of the run's processes; without it the programs are its web instances. */
  process?: string;
  confDir: string;
  supervisor: Supervisor;
}

/**
 * Puts a run's programs into supervisor and starts what does not run. A file that supervisor cannot read is taken back.
 * @throws CutoverError supervisor_config_broken, supervisor_unreachable
 */
export async function addPrograms(programs: ProgramGroup, text: string): Promise<void> {
  const { app, run, process, supervisor } = programs;
  const group = groupName(app, run, process);
  const file = programsFile(programs);
  const before = await readIfExists(file);
  if (before !== text) await effect("programs.write", () => writeDurably(file, text, 0o644));
  try {
    await supervisor.reloadConfig();
    await supervisor.addProcessGroup(group);
  } catch (error) {
    if (before === undefined) await effect("programs.unlink", () => rm(file, { force: true }));
    throw error;
  }
  await supervisor.startProcessGroup(group);
}

export function programsFile({ app, run, process, confDir }: ProgramGroup): string {
  return join(confDir, programsFileName(app, run, process));
}

/** undefined where supervisor has no such group. */
export async function programStatus({ app, run, supervisor }: ProgramGroup): Promise<ProgramStatus[] | undefined> {
  return (await supervisor.groupInfo(groupName(app, run)))?.map(toStatus);
}

/**
 * supervisor's words for a program. One that ends before `startsecs` shows BACKOFF (`Exited too quickly`), is started
 * again after 1, 2 and 3 s, and then stays FATAL; one that ends later shows EXITED until the next turn of the loop.
 */
export function toStatus({ name, statename, pid, start, now, spawnerr }: ProcessInfo): ProgramStatus {
  const up = statename === "RUNNING" || statename === "STARTING" || statename === "STOPPING";
  return {
    name,
    state: statename,
    pid,
    uptime: up ? Math.max(0, now - start) * 1000 : 0,
    detail: up ? "" : spawnerr,
  };
}

/** Asks a run's programs to end and does not wait for it. */
export async function stopSoon(programs: ProgramGroup, clock: Clock): Promise<void> {
  const { app, run, process, supervisor } = programs;
  const group = groupName(app, run, process);
  await askToEnd(supervisor, group, (await supervisor.groupInfo(group)) ?? [], clock);
}

/**
 * A stop signal that comes between supervisord's fork and its exec is lost: Python's handler takes it there, and nobody
 * sends it again until the stop time is over. So it waits for the exec, which takes milliseconds.
 */
async function askToEnd(supervisor: Supervisor, group: string, processes: ProcessInfo[], clock: Clock): Promise<void> {
  const deadline = clock.elapsed() + 2000;
  for (const { pid } of processes) {
    while (clock.elapsed() < deadline && (await isFork(pid))) await clock.sleep(5);
  }
  await supervisor.stopProcessGroup(group);
}

/** Whether a process is still a copy of the one that made it. */
async function isFork(pid: number): Promise<boolean> {
  const parent = pid > 0 ? (await processStatus(pid))?.parent : undefined;
  return parent !== undefined && (await commandLine(pid)) === (await commandLine(parent));
}

/** Stops a run's programs, waits for their end, and leaves nothing of them in supervisor nor in its files. */
export async function dropPrograms(programs: ProgramGroup, clock: Clock): Promise<void> {
  const { app, run, process, confDir, supervisor } = programs;
  const group = groupName(app, run, process);
  await stopPrograms(programs, clock);
  const file = programsFile(programs);
  await effect("programs.unlink", () => rm(file, { force: true }));
  await removeUnfinished(file);
  await syncDirectory(confDir);
  try {
    await supervisor.reloadConfig();
  } catch (error) {
    // Another file's fault must not keep the old release: the group goes all the same, and its file is gone already.
    if (!(error instanceof CutoverError && error.code === "supervisor_config_broken")) throw error;
  }
  // A program that ended by itself may have been started again in the meantime.
  while ((await supervisor.removeProcessGroup(group)) === "running") await stopPrograms(programs, clock);
}

/** Milliseconds between the stop signal and the kill: what supervisor goes by, and not what a release says by now. */
export async function stopMs(programs: ProgramGroup): Promise<number> {
  return stopSecondsOf((await readIfExists(programsFile(programs))) ?? "") * 1000;
}

async function stopPrograms(programs: ProgramGroup, clock: Clock): Promise<void> {
  const { app, run, process, supervisor } = programs;
  const group = groupName(app, run, process);
  // supervisor kills by itself after the stop time; its loop turns at each of our questions.
  const deadline = clock.elapsed() + (await stopMs(programs)) + 10_000;
  for (;;) {
    const processes = (await supervisor.groupInfo(group)) ?? [];
    if (processes.every(({ statename }) => endedStates.has(statename))) return;
    if (processes.some(({ statename }) => !endedStates.has(statename) && statename !== "STOPPING")) {
      await askToEnd(supervisor, group, processes, clock);
    }
    if (clock.elapsed() > deadline) {
      const names = processes
        .filter(({ statename }) => !endedStates.has(statename))
        .map(({ name, pid }) => `${name} (${pid})`);
      throw new CutoverError("internal", `supervisord could not stop ${names.join(", ")} of ${group}.`, {
        unchanged: "What has the traffic keeps it.",
        fix: "Look at these processes on the host (a process in uninterruptible sleep cannot be killed), then deploy again.",
      });
    }
    await clock.sleep(20);
  }
}
