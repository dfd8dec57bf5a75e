import { asCutoverError } from "../../../shared/errors.ts";
import { notUndone } from "../../../shared/release-commands.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, runSpec, saveJournal } from "../context.ts";
import { findRelease, forgetWarm, recordVerdict, setLive, weighStaged } from "../state.ts";
import { restoreEnvironment } from "../steps/build.ts";
import { drainRun } from "../steps/drain.ts";
import { waitHealthy } from "../steps/health.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { isForbidden, restoreTraffic, routeFor } from "../steps/route.ts";
import { healthFault, isUp } from "./run-health.ts";

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
  // What is staged now is the same release on other instances: all of the traffic goes back, also from its canary.
  weighStaged(state, 0);
  if (state.live === from) {
    // It has gone back before. A removal of the app may have failed since, and then it goes nowhere.
    await restoreTraffic(context);
  } else {
    const route = await routeFor(context, { live: from, staged: state.staged });
    await ports.traffic.route(spec.app, { ...route, keepNames: true });
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

/**
 * Moves the traffic and the processes back, and ends the instances that failed. Their logs stay.
 * @returns false if the run before cannot serve: then the release keeps the traffic, and the verdict says so
 */
export async function revert(context: DeployContext, spec: RunSpec): Promise<boolean> {
  const { ports, state, deployment, stopping } = context;
  const from = state.journal?.from ?? null;
  if (from === null) return false;
  // The verdict may not be in the file yet, and nothing moves back without it: a kill would leave that unexplained.
  await saveJournal(context);
  const old = await movedBack(context, spec, from);
  if (old === undefined) return false;
  const tell = (message: string) => deployment.notice(message);
  await reconcileProcesses(context, old, { tell, signal: stopping });
  if ((await ports.privileged.programs(spec.app, spec.run)) !== undefined) {
    const { open } = await drainRun(context, spec, old.config);
    if (open > 0) deployment.cut(open);
  }
  await ports.privileged.removePrograms(spec.app, spec.run);
  if (state.warm?.run === spec.run) forgetWarm(state);
  await ports.states.save(spec.app, state);
  return true;
}

/** @returns undefined if the run before cannot have the traffic */
async function movedBack(context: DeployContext, spec: RunSpec, from: string): Promise<RunSpec | undefined> {
  const asked = context.state.live !== from;
  let why = asked ? await whyNotServing(context, await runSpec(context, from)) : undefined;
  if (why === undefined) {
    try {
      return await revertTraffic(context, spec);
    } catch (thrown) {
      if (!isForbidden(thrown)) throw thrown;
      why = reasonOf(thrown);
    }
  }
  await keepTraffic(context, spec, `${from} cannot serve any more (${why}): ${spec.run} keeps the traffic.`);
  return undefined;
}

function reasonOf(thrown: unknown): string {
  return asCutoverError(thrown).message.replace(/\.$/, "");
}

/**
 * Hours may have passed since the verdict: the run before is asked again, and started if it is gone.
 * @returns why it cannot have the traffic, or undefined
 */
async function whyNotServing(context: DeployContext, old: RunSpec): Promise<string | undefined> {
  const { ports, settings, deployment } = context;
  const programs = await ports.privileged.programs(old.app, old.run);
  if (isUp(programs)) return healthFault(ports, settings, old);
  // An earlier attempt had begun to retire it.
  if (programs !== undefined) await ports.privileged.removePrograms(old.app, old.run);
  deployment.notice(`${old.run} is no longer up and is started again`);
  try {
    await restoreEnvironment(context, old);
    await ports.privileged.startPrograms(old);
    await waitHealthy(context, old);
    return undefined;
  } catch (thrown) {
    context.stopping.throwIfAborted();
    await ports.privileged.removePrograms(old.app, old.run);
    return reasonOf(thrown);
  }
}

/** The verdict is written last: until an earlier attempt's part of the way back is undone, a kill or a failure tries again. */
async function keepTraffic(context: DeployContext, { app, release }: RunSpec, unchanged: string): Promise<void> {
  const { ports, state, deployment } = context;
  await ports.releases.publish(app, { current: release });
  await restoreTraffic(context);
  const verdict = state.journal?.verdict;
  if (verdict !== undefined) recordVerdict(state, { ...verdict.failure, unchanged }, false);
  deployment.notice(unchanged);
  await saveJournal(context);
}
