import { isAtLeast } from "../../../shared/deployment-states.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { assertNoIntent, type DeployContext, runSpec } from "../context.ts";
import { type AppState, findRelease, type Journal, markFailed, runsInUse, unstage, weighStaged } from "../state.ts";
import { drainRun } from "../steps/drain.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { restoreTraffic } from "../steps/route.ts";
import { drainStaged } from "../steps/stage.ts";
import { removeOrphansOf } from "./orphans.ts";

/**
 * Undoes a deployment that has not cut over: removes its instances, their programs, the release it brought, and an
 * environment that was made for that release alone. Logs stay. Each step may safely happen twice, so a crash in the middle
 * does no harm.
 */
export async function undo(site: UndoSite): Promise<void> {
  const { ports, state, deployment } = site;
  const { app, journal } = state;
  if (journal === null) return;
  await assertNoIntent(site);
  const keepsStaged = staysStaged(state, journal, deployment.view.failure?.code);
  const others = keepsStaged ? backToItsWeight(state, journal) : await withoutItsRun(site, journal);
  await restoreLinks({ ports, state: others });
  // Before the run goes: a process that must not overlap may not run at all until then.
  if (isAtLeast(journal.deployment.state, "healthy")) {
    // A cutover that failed may have left the site of this release in nginx.
    await restoreTraffic({ ports, state: others });
    const live = state.live === null ? null : await runSpec(site, state.live);
    await reconcileProcesses(site, live, { tell: (message) => deployment.notice(message) });
  }
  if (!keepsStaged) await removeItsRun(site, journal);
  // What it was replacing is not in the state any more.
  await removeOrphansOf(site);
  const onDisk = state.releases.filter((known) => known.state !== "failed");
  await ports.environments.prune(
    app,
    onDisk.map(({ id }) => id),
  );
  // Slots that were prepared and never used.
  await ports.traffic.tidy(app);
}

type UndoSite = Pick<DeployContext, "ports" | "state" | "stopping" | "deployment">;

/** Failures that say that the run itself is not well. */
const ownFaults = [
  "instance_died",
  "health_failed",
  "health_timeout",
  "port_taken",
  "canary_failed",
  "visitors_failed",
];

/** An activation of the staged run that failed for another reason leaves it staged, with the share that it had. */
function staysStaged(state: AppState, journal: Journal, failure: string | undefined): boolean {
  if (journal.brought || state.staged?.run !== journal.run) return false;
  return failure === undefined || !ownFaults.includes(failure);
}

function backToItsWeight(state: AppState, journal: Journal): AppState {
  weighStaged(state, journal.weight ?? 0);
  return state;
}

/** The state as it is without the run. Its traffic has left it. */
async function withoutItsRun(site: UndoSite, { run }: Journal): Promise<AppState> {
  const { state } = site;
  if (state.staged?.run !== run) return state;
  await drainStaged(site);
  return { ...state, staged: null };
}

/** Its programs, and its release if the deployment brought it, or if nothing else uses one that never had traffic. */
async function removeItsRun(site: UndoSite, journal: Journal): Promise<void> {
  const { ports, state } = site;
  const { app } = state;
  if (mayHaveStarted(state, journal)) {
    await drainIfTried(site, journal);
    await ports.privileged.removePrograms(app, journal.run);
  }
  if (state.staged?.run === journal.run) unstage(state);
  const release = releaseOfRun(journal.run);
  const others = runsInUse(state).filter((run) => run !== journal.run);
  const was = findRelease(state, release)?.state;
  const unused = (was === "staged" || was === "unpacked") && !others.map(releaseOfRun).includes(release);
  if (!journal.brought && !unused) return;
  await ports.releases.remove(app, release);
  markFailed(state, release);
}

/** A cutover that was refused late had visitors on the run for a moment. Their requests are not cut. */
async function drainIfTried(site: UndoSite, { run, previous }: Journal): Promise<void> {
  const { ports, state, deployment } = site;
  if (previous === undefined || (await ports.privileged.programs(state.app, run)) === undefined) return;
  const spec = await runSpec(site, run);
  const to = state.live === null ? spec : await runSpec(site, state.live);
  const { open } = await drainRun(site, spec, to.config);
  if (open > 0) deployment.cut(open);
}

/** A cutover that nginx refused has published the release's static files already. */
async function restoreLinks({ ports, state }: Pick<DeployContext, "ports" | "state">): Promise<void> {
  const { app, staged, live, journal } = state;
  // Also that of a release which was about to be staged.
  if (staged === null) await ports.releases.publish(app, { canary: null, staged: null });
  else if (staged.weight === 0) await ports.releases.publish(app, { canary: null });
  if (live === null) return;
  // Only a cutover changes it, and has written down before what it was.
  const previous = journal?.previous;
  await ports.releases.publish(app, { current: releaseOfRun(live), ...(previous !== undefined && { previous }) });
}

/**
 * A rollback to a run that is still warm has started nothing, and neither has a bundle that was refused while it came:
 * undoing those must not depend on supervisor.
 */
function mayHaveStarted(state: AppState, { run, brought, deployment }: Journal): boolean {
  if (run === state.warm?.run || run === state.live) return false;
  return !brought || deployment.outcome === "staged" || isAtLeast(deployment.state, "released");
}
