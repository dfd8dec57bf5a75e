import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption, runSpec } from "../context.ts";
import { isPause } from "../recovery/pause.ts";
import { findRelease } from "../state.ts";
import { ask, ofProcess, runs, type Tell, waitForEnd } from "./process-end.ts";
import { startAndWatch } from "./process-watch.ts";

/** The programs of `processes:` in cutover.yml, which serve no HTTP: workers and schedulers of the live run. */

type Site = Pick<DeployContext, "ports" | "state">;

/**
 * Starts the processes of a run that is about to get all of the traffic, and waits until they have stayed up. Those that may
 * overlap start first, next to the old ones. Of each other process the old one is stopped before the new one starts.
 * @throws CutoverError instance_died; then `reconcileProcesses` with the live run undoes it
 */
async function startProcesses(context: DeployContext, spec: RunSpec): Promise<void> {
  const { ports, deployment } = context;
  const groups = await ports.privileged.processes(spec.app);
  const names = Object.keys(spec.config.processes).filter((name) => !runs(groups.find(ofProcess(spec.run, name))));
  if (names.length === 0) return;
  const old = groups.filter(({ run }) => run !== spec.run);
  const alone = await aloneIn(context, [spec.run, ...old.map(({ run }) => run)]);
  await startAndWatch(
    context,
    spec,
    names.filter((name) => !alone.has(name)),
  );
  const late = names.filter((name) => alone.has(name));
  const leaving = old.filter(({ process }) => late.includes(process));
  const asked = await ask(context, leaving);
  const tell = (message: string) => deployment.notice(message);
  await waitForEnd(context, leaving, { asked, signal: interruption(context), tell });
  await startAndWatch(context, spec, late);
}

/**
 * Starts the processes of a run that is about to get all of the traffic. If the agent shuts down in the middle, those of the
 * live run come back first: while no agent runs, the processes are those of the run that has the traffic.
 */
export async function startProcessesOrGiveBack(context: DeployContext, spec: RunSpec): Promise<void> {
  const { state, deployment } = context;
  try {
    await startProcesses(context, spec);
  } catch (thrown) {
    if (isPause(context, thrown)) {
      const live = state.live === null ? null : await runSpec(context, state.live);
      await reconcileProcesses(context, live, { tell: (message) => deployment.notice(message) });
    }
    throw thrown;
  }
}

/**
 * Makes the processes of this run run, and no others. The old ones finish the job that they have in hand, within their
 * `stop_timeout`. Does nothing if they already run. May be interrupted and repeated.
 * @param wanted the run; null if no process should run
 * @param how `signal` ends the wait for the old ones, which have had their stop signal by then
 */
export async function reconcileProcesses(
  site: Site,
  wanted: RunSpec | null,
  { tell, signal }: { tell: Tell; signal?: AbortSignal },
): Promise<void> {
  const { ports, state } = site;
  const groups = await ports.privileged.processes(state.app);
  const names = Object.keys(wanted?.config.processes ?? {});
  const own = groups.filter(({ run, process }) => run === wanted?.run && names.includes(process));
  const others = groups.filter((group) => !own.includes(group));
  const alone = await aloneIn(site, [...(wanted === null ? [] : [wanted.run]), ...others.map(({ run }) => run)]);
  // A process that was being stopped when the agent was killed ends first, and starts again then.
  const halted = own.filter(({ programs }) => programs.some(({ state }) => state === "STOPPING"));
  const first = [...others.filter(({ process }) => alone.has(process)), ...halted];
  const asked = await ask(site, [...others, ...halted]);
  // This wait is never given up: until it ends, no such process runs.
  await waitForEnd(site, first, { asked, tell });
  for (const name of names) {
    const group = own.find(({ process }) => process === name);
    if (wanted === null || (runs(group) && group !== undefined && !halted.includes(group))) continue;
    await ports.privileged.startProcess(wanted, name);
    tell(`${name} of ${wanted.run} is started again`);
  }
  const rest = others.filter((group) => !first.includes(group));
  await waitForEnd(site, rest, { asked, tell, ...(signal !== undefined && { signal }) });
}

/** The processes of these runs that must not overlap. Runs of unknown releases have none. */
async function aloneIn(site: Site, all: string[]): Promise<Set<string>> {
  const alone = new Set<string>();
  for (const run of new Set(all)) {
    if ((findRelease(site.state, releaseOfRun(run))?.state ?? "failed") === "failed") continue;
    const { config } = await runSpec(site, run);
    for (const [name, { overlap }] of Object.entries(config.processes)) if (!overlap) alone.add(name);
  }
  return alone;
}
