import { rm } from "node:fs/promises";
import { join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { endedStates, type ProgramStatus } from "../../contracts/privileged.ts";
import { effect } from "../../effects.ts";
import { commandLine, processStatus } from "../exec/processes.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../store/durable.ts";
import { readIfExists } from "../store/read-if-exists.ts";
import { howEnded } from "./exit-status.ts";
import { groupName, programsFileName, stopSecondsOf } from "./programs-file.ts";
import type { ProcessInfo, Supervisor } from "./supervisor.ts";

/** The programs that supervisor starts and stops together: a run's web instances, or one of its processes. */
export interface ProgramGroup {
  app: string;
  run: string;
  /** One of the run's processes; unset for its web instances. */
  process?: string;
  confDir: string;
  supervisor: Supervisor;
}

/**
 * Adds programs to supervisor and starts those that do not run. If supervisor cannot read a new file, the file is removed.
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

/** A run's web instances; undefined if supervisor does not have them. */
export async function programStatus({ app, run, supervisor }: ProgramGroup): Promise<ProgramStatus[] | undefined> {
  const all = await supervisor.groupInfo(groupName(app, run));
  return all && Promise.all(all.map((info) => statusOf(supervisor, info)));
}

/** What supervisor says about a program, with how it ended if that is known. */
export async function statusOf(supervisor: Supervisor, info: ProcessInfo): Promise<ProgramStatus> {
  const status = toStatus(info);
  const how = await howEnded(supervisor, info);
  return how === undefined ? status : { ...status, detail: how };
}

/**
 * What supervisor says about a program. One that ends before `startsecs` is in BACKOFF (`Exited too quickly`), and is started
 * again after 1 s, 2 s, 3 s and so on. One of an earlier release of cutover stays FATAL after the third time. One that ends later is EXITED until the next turn of supervisor's loop.
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

/** Sends programs their stop signal, and does not wait for their end. */
export async function stopSoon(programs: ProgramGroup, clock: Clock): Promise<void> {
  const { app, run, process, supervisor } = programs;
  const group = groupName(app, run, process);
  await askToEnd(supervisor, group, (await supervisor.groupInfo(group)) ?? [], clock);
}

/**
 * A stop signal that comes between supervisord's fork and its exec is lost: Python's handler takes it, and nobody sends it
 * again until the stop time is over. So this waits for the exec, which takes milliseconds.
 */
async function askToEnd(supervisor: Supervisor, group: string, processes: ProcessInfo[], clock: Clock): Promise<void> {
  const deadline = clock.elapsed() + 2000;
  for (const { pid } of processes) {
    while (clock.elapsed() < deadline && (await isFork(pid))) await clock.sleep(5);
  }
  await supervisor.stopProcessGroup(group);
}

/** Whether a process is still a copy of its parent. */
async function isFork(pid: number): Promise<boolean> {
  const parent = pid > 0 ? (await processStatus(pid))?.parent : undefined;
  return parent !== undefined && (await commandLine(pid)) === (await commandLine(parent));
}

/** Stops programs, waits for their end, and removes them from supervisor and its files. @throws CutoverError supervisor_unreachable, internal */
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
    // A fault in another file must not keep the old release. The group can be removed, and its file is gone already.
    if (!(error instanceof CutoverError && error.code === "supervisor_config_broken")) throw error;
  }
  // supervisor may have restarted a program in the meantime.
  while ((await supervisor.removeProcessGroup(group)) === "running") await stopPrograms(programs, clock);
}

/** The time between the stop signal and the kill, in milliseconds: from supervisor's file, not from today's cutover.yml. */
export async function stopMs(programs: ProgramGroup): Promise<number> {
  return stopSecondsOf((await readIfExists(programsFile(programs))) ?? "") * 1000;
}

async function stopPrograms(programs: ProgramGroup, clock: Clock): Promise<void> {
  const { app, run, process, supervisor } = programs;
  const group = groupName(app, run, process);
  // supervisor kills by itself after the stop time. Each of our calls makes its loop turn.
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
        unchanged: "The release with the traffic keeps it.",
        fix: "Look at these processes on the host (a process in uninterruptible sleep cannot be killed), then deploy again.",
      });
    }
    await clock.sleep(20);
  }
}
