import { releaseOfRun } from "../../shared/names.ts";
import { type DeploymentState, deploymentStates } from "../../shared/protocol.ts";
import type { Ports } from "../ports.ts";
import { type AppState, findRelease, type Journal, setReleaseState } from "./state.ts";
import { runSpec } from "./work.ts";

/**
 * Takes back a deployment that has not cut over: its instances, their programs, and the release it brought, with an
 * environment that was made for it alone. Logs stay.
 * Each step may be done twice, so that a crash in the middle is no matter.
 */
export async function undo({ ports, state }: { ports: Ports; state: AppState }): Promise<void> {
  const { app, journal } = state;
  if (journal === null) return;
  if (mayHaveStarted(state, journal)) {
    await ports.privileged.removePrograms(app, journal.run);
  }
  if (state.staged?.run === journal.run) state.staged = null;
  const release = releaseOfRun(journal.run);
  const was = findRelease(state, release)?.state;
  if (journal.brought || was === "staged" || was === "unpacked") {
    await ports.releases.remove(app, release);
    setReleaseState(state, release, "failed");
    const onDisk = state.releases.filter((known) => known.state !== "failed");
    await ports.environments.collect(
      app,
      onDisk.map(({ id }) => id),
    );
  }
  await restoreSite({ ports, state });
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

/** The site's text is written before the cutover, so an undo writes the live release's again; unchanged text costs nothing. */
async function restoreSite({ ports, state }: { ports: Ports; state: AppState }): Promise<void> {
  if (state.live === null) return;
  const { config } = await runSpec({ ports, state }, state.live);
  await ports.privileged.writeSite(state.app, config);
}
