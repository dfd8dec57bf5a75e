import { notUndone } from "../../../shared/release-commands.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { findRelease, forgetWarm, setLive } from "../state.ts";
import { drainRun } from "../steps/drain.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { routeFor } from "../steps/route.ts";

/** The way back after a cutover, to the run before, which is still up. Each effect may safely happen twice. */

/** Moves the traffic back by one route, as a rollback to a warm run does. */
export async function revertTraffic(context: DeployContext, spec: RunSpec): Promise<RunSpec | undefined> {
  const { ports, state, deployment } = context;
  const from = state.journal?.from ?? null;
  if (from === null) return undefined;
  const old = await runSpec(context, from);
  // Open pages of the release that failed still ask for its static files.
  const leaving = old.release === spec.release ? {} : { previous: spec.release };
  await ports.releases.publish(spec.app, { current: old.release, ...leaving });
  await ports.traffic.route(spec.app, await routeFor(context, { live: from, staged: state.staged }));
  if (state.live !== from) {
    const now = new Date(ports.clock.now());
    setLive(state, from, { now, warmUntil: now, rollback: true });
    deployment.notice(`${from} has all of the traffic again`);
    if (findRelease(state, spec.release)?.commanded === true && old.release !== spec.release) {
      deployment.notice(notUndone(spec.release));
    }
  }
  await ports.states.save(spec.app, state);
  return old;
}

/** Moves the traffic and the processes back, and ends the instances that failed. Their logs stay. */
export async function revert(context: DeployContext, spec: RunSpec): Promise<void> {
  const { ports, state, deployment, stopping } = context;
  const old = await revertTraffic(context, spec);
  if (old === undefined) return;
  const tell = (message: string) => deployment.notice(message);
  await reconcileProcesses(context, old, { tell, signal: stopping });
  if ((await ports.privileged.programs(spec.app, spec.run)) !== undefined) {
    const { open } = await drainRun(context, spec, old.config);
    if (open > 0) deployment.cut(open);
  }
  await ports.privileged.removePrograms(spec.app, spec.run);
  if (state.warm?.run === spec.run) forgetWarm(state);
  await ports.states.save(spec.app, state);
}
