import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, dropIntent, reach, saveIntent } from "../context.ts";
import { rememberPrevious, setLive } from "../state.ts";
import { waitHealthy } from "./health.ts";
import { routeFor } from "./route.ts";

/**
 * Moves all of the traffic to a run. Static files come first, so that a page from either release finds its assets at every
 * moment.
 * @throws CutoverError nginx_* when nginx refuses: then nothing has moved, and the deployment is undone
 */
export async function moveTraffic(
  context: DeployContext,
  spec: RunSpec,
  { rollback }: { rollback: boolean },
): Promise<void> {
  const { ports, state, deployment } = context;
  const staged = state.staged?.run === spec.run ? null : state.staged;
  if (context.recovery !== undefined) await assertStillHealthy(context, spec);
  rememberPrevious(state, (await ports.releases.published(spec.app)).previous);
  await saveIntent(context);
  await ports.releases.publish(spec.app, { current: spec.release, ...leavingRelease(context, spec) });
  try {
    const { reloaded } = await ports.traffic.route(spec.app, await routeFor(context, { live: spec.run, staged }));
    if (reloaded) deployment.notice("nginx was reloaded, since its files for the app changed");
  } catch (thrown) {
    if (state.live !== spec.run && !(await hasAllTraffic(context, spec))) await dropIntent(context);
    throw thrown;
  }
  await ports.releases.publish(spec.app, { canary: null, ...(staged === null && { staged: null }) });
  const now = ports.clock.now();
  const { keep_warm, watch } = spec.config;
  const warmUntil = new Date(now + Math.max(milliseconds(keep_warm), milliseconds(watch)));
  setLive(state, spec.run, { now: new Date(now), warmUntil, rollback });
  await reach(context, "cut_over");
}

/**
 * An agent was killed just before the traffic moved. Since then hours may have passed, or the host has booted: the run is waited
 * for, and without it the cutover is undone.
 */
async function assertStillHealthy(context: DeployContext, spec: RunSpec): Promise<void> {
  // Files that nginx may not have read prove nothing.
  if (!(await context.ports.traffic.unread(spec.app)) && (await hasAllTraffic(context, spec))) return;
  try {
    await waitHealthy(context, spec);
  } catch (thrown) {
    await dropIntent(context);
    throw thrown;
  }
}

/** A canary had a part of the traffic before, so only all of it proves that the traffic has moved. */
async function hasAllTraffic({ ports }: DeployContext, spec: RunSpec): Promise<boolean> {
  const slots = await ports.traffic.assigned(spec.app);
  const own = (await ports.privileged.instances(spec)).map(({ address }) => slots.get(address) ?? 0);
  return own.reduce((total, count) => total + count, 0) === slotCount;
}

/** The release whose static files open pages still ask for; none when the same release only gets fresh instances. */
function leavingRelease({ state }: DeployContext, spec: RunSpec): { previous?: string } {
  const from = state.journal?.from ?? null;
  const release = from === null ? null : releaseOfRun(from);
  return release === null || release === spec.release ? {} : { previous: release };
}
