import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, dropIntent, reach, saveIntent } from "../context.ts";
import { mayHaveCutOver, rememberPrevious, setLive } from "../state.ts";
import { healthFault } from "../watch/run-health.ts";
import { waitHealthy } from "./health.ts";
import { restoreTraffic, routeFor } from "./route.ts";

/** How long a run that had begun to take over may take to answer before nginx's files lead back to the live one. */
const firstAnswerMs = 1000;

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
  if (mayHaveCutOver(state)) await assertStillHealthy(context, spec);
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
 * An attempt before, or another agent, had an intent and did not see the traffic move. Since then an instance may have ended,
 * hours may have passed, or the host has booted: the run is waited for, and without it the cutover is undone.
 */
async function assertStillHealthy(context: DeployContext, spec: RunSpec): Promise<void> {
  // Files that nginx may not have read prove nothing.
  const unread = await context.ports.traffic.unread(spec.app);
  if (!unread && (await hasAllTraffic(context, spec))) return;
  try {
    if (unread) await takeBackUnlessWell(context, spec);
    await waitHealthy(context, spec);
  } catch (thrown) {
    await dropIntent(context);
    throw thrown;
  }
}

/**
 * A reload for another app or by another program reads the files that the killed agent left, and they lead to the run. While
 * that is waited for they lead to the live one.
 */
async function takeBackUnlessWell(context: DeployContext, spec: RunSpec): Promise<void> {
  const { ports, settings, state, log } = context;
  if ((await healthFault(ports, settings, spec, firstAnswerMs)) === undefined) return;
  // If nginx refuses or does not run, the files lead back all the same.
  await restoreTraffic({ ports, state }).catch((err: unknown) => log.warn({ err }, "nginx was not reloaded"));
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
