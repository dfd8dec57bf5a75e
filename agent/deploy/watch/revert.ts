import { notUndone } from "../../../shared/release-commands.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { runSpec, type Work } from "../context.ts";
import { findRelease, setLive } from "../state.ts";
import { drainRun } from "../steps/drain.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { routeFor } from "../steps/route.ts";

/** The way back after a cutover, to the run before, which is still up. Each effect may safely be done twice. */

/** Gives the traffic back: by one route, as a rollback to a warm run does. */
export async function moveBack(work: Work, spec: RunSpec): Promise<RunSpec | undefined> {
  const { ports, state, deployment } = work;
  const from = state.journal?.from ?? null;
  if (from === null) return undefined;
  const old = await runSpec(work, from);
  // Pages of the release that failed still ask for its static files.
  const leaving = old.release === spec.release ? {} : { previous: spec.release };
  await ports.releases.publish(spec.app, { current: old.release, ...leaving });
  await ports.traffic.route(spec.app, await routeFor(work, { live: from, staged: state.staged }));
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

/** All of it: traffic, processes, and the end of the instances that failed. Their logs stay. */
export async function goBack(work: Work, spec: RunSpec): Promise<void> {
  const { ports, state, deployment, stopping } = work;
  const old = await moveBack(work, spec);
  if (old === undefined) return;
  const tell = (message: string) => deployment.notice(message);
  await reconcileProcesses(work, old, { tell, signal: stopping });
  if ((await ports.privileged.programs(spec.app, spec.run)) !== undefined) {
    const { open } = await drainRun(work, spec, old.config);
    if (open > 0) deployment.cut(open);
  }
  await ports.privileged.removePrograms(spec.app, spec.run);
  if (state.warm?.run === spec.run) state.warm = null;
  await ports.states.save(spec.app, state);
}
