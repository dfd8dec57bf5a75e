import { isAtLeast } from "../../../shared/deployment-states.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { type AppState, findRelease, type Journal, markFailed, rollbackTarget, unstage } from "../state.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { restoreTraffic } from "../steps/route.ts";
import { drainStaged } from "../steps/stage.ts";
import { removeOrphans } from "./orphans.ts";

/**
 * Undoes a deployment that has not cut over: removes its instances, their programs, the release it brought, and an
 * environment that was made for that release alone. Logs stay. Each step may safely happen twice, so a crash in the middle
 * does no harm.
 */
export async function undo(site: Pick<DeployContext, "ports" | "state" | "stopping" | "deployment">): Promise<void> {
  const { ports, state, deployment } = site;
  const { app, journal } = state;
  if (journal === null) return;
  if (state.staged?.run === journal.run) await drainStaged(site);
  const others = { ...state, staged: state.staged?.run === journal.run ? null : state.staged };
  await restoreLinks({ ports, state: others });
  // Before the run goes: a process that must not overlap may not run at all until then.
  if (isAtLeast(journal.deployment.state, "healthy")) {
    // A cutover that failed may have left the site of this release in nginx.
    await restoreTraffic({ ports, state: others });
    const live = state.live === null ? null : await runSpec(site, state.live);
    await reconcileProcesses(site, live, { tell: (message) => deployment.notice(message) });
  }
  if (mayHaveStarted(state, journal)) {
    await ports.privileged.removePrograms(app, journal.run);
  }
  if (state.staged?.run === journal.run) unstage(state);
  const release = releaseOfRun(journal.run);
  const was = findRelease(state, release)?.state;
  if (journal.brought || was === "staged" || was === "unpacked") {
    await ports.releases.remove(app, release);
    markFailed(state, release);
  }
  // What it was replacing is not in the state any more.
  const cut = await removeOrphans(site);
  if (cut > 0) deployment.cut(cut);
  const onDisk = state.releases.filter((known) => known.state !== "failed");
  await ports.environments.prune(
    app,
    onDisk.map(({ id }) => id),
  );
  // Slots that were prepared and never used.
  await ports.traffic.tidy(app);
}

/** A cutover that nginx refused has published the release's static files already. */
async function restoreLinks({ ports, state }: Pick<DeployContext, "ports" | "state">): Promise<void> {
  const { app, staged, live } = state;
  // Also that of a release which was about to be staged.
  if (staged === null) await ports.releases.publish(app, { canary: null, staged: null });
  if (live === null) return;
  const previous = rollbackTarget(state);
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
