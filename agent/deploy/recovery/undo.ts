import { releaseOfRun } from "../../../shared/names.ts";
import { type DeploymentState, deploymentStates } from "../../../shared/protocol.ts";
import { runSpec, type Work } from "../context.ts";
import { type AppState, findRelease, type Journal, rollbackTarget, setReleaseState } from "../state.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { restoreTraffic } from "../steps/route.ts";
import { withdraw } from "../steps/staged.ts";
import { removeStrangers } from "./orphans.ts";

/**
 * Takes back a deployment that has not cut over: its instances, their programs, and the release it brought, with an
 * environment that was made for it alone. Logs stay.
 * Each step may be done twice, so that a crash in the middle is no matter.
 */
export async function undo(site: Pick<Work, "ports" | "state" | "stopping" | "deployment">): Promise<void> {
  const { ports, state, deployment } = site;
  const { app, journal } = state;
  if (journal === null) return;
  if (state.staged?.run === journal.run) await withdraw(site);
  const others = { ...state, staged: state.staged?.run === journal.run ? null : state.staged };
  await restoreLinks({ ports, state: others });
  // Before the run goes: until then a process that is there once may not run at all.
  if (reached(journal.deployment.state, "healthy")) {
    // A cutover that failed may have left nginx with the site of this release.
    await restoreTraffic({ ports, state: others });
    const live = state.live === null ? null : await runSpec(site, state.live);
    await reconcileProcesses(site, live, { tell: (message) => deployment.notice(message) });
  }
  if (mayHaveStarted(state, journal)) {
    await ports.privileged.removePrograms(app, journal.run);
  }
  if (state.staged?.run === journal.run) state.staged = null;
  const release = releaseOfRun(journal.run);
  const was = findRelease(state, release)?.state;
  if (journal.brought || was === "staged" || was === "unpacked") {
    await ports.releases.remove(app, release);
    setReleaseState(state, release, "failed");
  }
  // What it was replacing has lost its place all the same.
  const cut = await removeStrangers(site);
  if (cut > 0) deployment.cut(cut);
  const onDisk = state.releases.filter((known) => known.state !== "failed");
  await ports.environments.collect(
    app,
    onDisk.map(({ id }) => id),
  );
  // Slots that were prepared and did not come to count.
  await ports.traffic.tidy(app);
}

/** A cutover that nginx refused had published the release's static files before. */
async function restoreLinks({ ports, state }: Pick<Work, "ports" | "state">): Promise<void> {
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
  return !brought || deployment.outcome === "staged" || reached(deployment.state, "released");
}

function reached(state: DeploymentState, wanted: DeploymentState): boolean {
  return deploymentStates.indexOf(state) >= deploymentStates.indexOf(wanted);
}
