import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { interruption, runSpec, type Work } from "../context.ts";
import { findRelease } from "../state.ts";
import { ask, ofProcess, runs, type Tell, waitForEnd } from "./process-end.ts";
import { startAndWatch } from "./process-watch.ts";

/** What `processes:` of cutover.yml names: programs that serve no HTTP, beside the web instances of the live run. */

type Site = Pick<Work, "ports" | "state">;

/**
 * Starts the processes of a run that is about to get all of the traffic, and sees that they stay up. First those that may
 * be there twice, beside the old ones; then the old one of each other is stopped before the new one starts.
 * @throws CutoverError instance_died; then `reconcileProcesses` with the live run undoes it
 */
export async function startProcesses(work: Work, spec: RunSpec): Promise<void> {
  const { ports, deployment } = work;
  const groups = await ports.privileged.processes(spec.app);
  const names = Object.keys(spec.config.processes).filter((name) => !runs(groups.find(ofProcess(spec.run, name))));
  if (names.length === 0) return;
  const old = groups.filter(({ run }) => run !== spec.run);
  const alone = await aloneIn(work, [spec.run, ...old.map(({ run }) => run)]);
  await startAndWatch(
    work,
    spec,
    names.filter((name) => !alone.has(name)),
  );
  const late = names.filter((name) => alone.has(name));
  const leaving = old.filter(({ process }) => late.includes(process));
  const asked = await ask(work, leaving);
  const tell = (message: string) => deployment.notice(message);
  await waitForEnd(work, leaving, { asked, signal: interruption(work), tell });
  await startAndWatch(work, spec, late);
}

/**
 * Makes the processes of this run run, and no others: the old ones finish what they have in hand, for as long as their
 * `stop_timeout` lets them. Does nothing where that is so already; may be cut short and done again.
 * @param wanted null: none shall run
 * @param how `signal` gives up the wait for the old ones, which have been asked to stop by then
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
  // One that was being stopped when the agent was killed ends first, and is started anew then.
  const halted = own.filter(({ programs }) => programs.some(({ state }) => state === "STOPPING"));
  const first = [...others.filter(({ process }) => alone.has(process)), ...halted];
  const asked = await ask(site, [...others, ...halted]);
  // Never given up: until then nothing of the kind runs.
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

/** The processes that one of these runs wants to be there once. Runs of releases that are not known want nothing. */
async function aloneIn(site: Site, all: string[]): Promise<Set<string>> {
  const alone = new Set<string>();
  for (const run of new Set(all)) {
    if ((findRelease(site.state, releaseOfRun(run))?.state ?? "failed") === "failed") continue;
    const { config } = await runSpec(site, run);
    for (const [name, { overlap }] of Object.entries(config.processes)) if (!overlap) alone.add(name);
  }
  return alone;
}
