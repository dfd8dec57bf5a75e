import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Config, Process } from "../../../shared/config.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { runId } from "../../../shared/names.ts";
import type { ProcessGroup } from "../../contracts/privileged.ts";
import { effect } from "../../effects.ts";
import type { AppLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { listSafely } from "../store/safe-read.ts";
import { type ProgramGroup, statusOf, stopMs } from "./program-group.ts";
import { groupName, ownerOfProgramsFile, processOfLaunchFile } from "./programs-file.ts";
import type { Supervisor } from "./supervisor.ts";

interface Place {
  app: string;
  layout: AppLayout;
  confDir: string;
  supervisor: Supervisor;
}

/** The processes of all runs, as supervisor has them. It is not asked if no file names any. */
export async function processGroups(place: Place): Promise<ProcessGroup[]> {
  const owners = await processOwners(place);
  if (owners.length === 0) return [];
  const { app, confDir, supervisor } = place;
  const known = await supervisor.getAllProcessInfo();
  const groupOf = async ({ run, process }: Owner): Promise<ProcessGroup> => {
    const group = groupName(app, run, process);
    const own = known.filter((info) => info.group === group);
    const programs = await Promise.all(
      own.map(async (info) => ({ ...(await statusOf(supervisor, info)), signalled: info.exitstatus < 0 })),
    );
    return { run, process, programs, stopMs: await stopMs({ app, run, process, confDir, supervisor }) };
  };
  return Promise.all(owners.map(groupOf));
}

interface Owner {
  run: string;
  process: string;
}

/**
 * Finds the processes of all runs by their programs files, and by their launch files. Those are written first and removed
 * last, so an interrupted start or removal is found too.
 */
export async function processOwners({ app, layout, confDir }: Omit<Place, "supervisor">): Promise<Owner[]> {
  const found = new Map<string, Owner>();
  const add = (run: string, process: string | undefined) => {
    if (process !== undefined) found.set(groupName(app, run, process), { run, process });
  };
  for (const file of await listIfExists(confDir)) {
    const owner = ownerOfProgramsFile(app, file);
    if (owner !== undefined) add(owner.run, owner.process);
  }
  for (const run of await listSafely(layout.home, layout.launches)) {
    if (!runId.safeParse(run).success) continue;
    for (const file of await listSafely(layout.home, layout.launchDir(run))) add(run, processOfLaunchFile(file));
  }
  return [...found.values()].toSorted((a, b) =>
    groupName(app, a.run, a.process) < groupName(app, b.run, b.process) ? -1 : 1,
  );
}

/** @throws CutoverError internal for a process that the release does not have */
export function processOf(config: Config, name: string): Process {
  const process = Object.hasOwn(config.processes, name) ? config.processes[name] : undefined;
  if (process !== undefined) return process;
  throw new CutoverError("internal", `The release has no process ${name}.`);
}

/** Call it last: an interrupted removal is found by these files. */
export async function removeLaunchFiles({ run, process }: ProgramGroup, layout: AppLayout): Promise<void> {
  const directory = layout.launchDir(run);
  for (const file of await listSafely(layout.home, directory)) {
    if (processOfLaunchFile(file) !== process) continue;
    await effect("process.unlink", () => rm(join(directory, file), { force: true }));
  }
}
