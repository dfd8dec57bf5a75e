import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { interruption, reach, runSpec, saveJournal, type Work } from "../context.ts";
import { isPause } from "../recovery/pause.ts";
import { retire } from "../retention/retire.ts";
import { findRelease, setLive } from "../state.ts";
import { isWatched, judge, watchLive } from "../watch/live-watch.ts";
import { goBack, moveBack } from "../watch/revert.ts";
import { drainRun } from "./drain.ts";
import { assertRunning } from "./health.ts";
import { reconcileProcesses, startProcesses } from "./processes.ts";
import { allSlots, routeFor } from "./route.ts";

/** From a healthy run to one that has the traffic. Before it a failure undoes; once it has begun, it finishes. */
export async function bringLive(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  const { ports } = work;
  await ports.releases.sync(spec.app, spec.release);
  await startOrGiveBack(work, spec);
  await assertRunning(work, spec);
  interruption(work).throwIfAborted();
  await finishForward(work, spec, rollback);
}

/** While no agent runs, the processes are those of the run that has the traffic. */
async function startOrGiveBack(work: Work, spec: RunSpec): Promise<void> {
  const { state, deployment } = work;
  try {
    await startProcesses(work, spec);
  } catch (thrown) {
    if (isPause(work, thrown)) {
      const live = state.live === null ? null : await runSpec(work, state.live);
      await reconcileProcesses(work, live, { tell: (message) => deployment.notice(message) });
    }
    throw thrown;
  }
}

/**
 * The part that is not undone once the traffic has moved, also taken up again after a crash; each of its effects may
 * safely be done twice. What fails while it is watched gets a verdict in the journal, and where it can, it goes back.
 */
export async function finishForward(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  if (work.state.journal?.verdict?.back !== true) {
    await cutOver(work, spec, rollback);
    await settle(work, spec);
  }
  if (work.state.journal?.verdict?.back === true) return goBack(work, spec);
  await retireOld(work, spec);
}

/** What follows the cutover, all at once: the old instances drain, the processes are handed over, the new run is watched. */
async function settle(work: Work, spec: RunSpec): Promise<void> {
  const goingBack = new AbortController();
  const stopping = AbortSignal.any([work.stopping, goingBack.signal]);
  const tell = (message: string) => work.deployment.notice(message);
  const handedOver = reconcileProcesses(work, spec, { tell, signal: stopping });
  const others = Promise.allSettled([drain({ ...work, stopping }, spec), handedOver]);
  let watched: PromiseSettledResult<void>;
  try {
    if (isWatched(work, spec)) await watch(work, spec);
    watched = { status: "fulfilled", value: undefined };
  } catch (reason) {
    watched = { status: "rejected", reason };
  }
  if (work.state.journal?.verdict?.back === true) goingBack.abort(new Error("the traffic goes back"));
  const ends = [watched, ...(await others)];
  if (goingBack.signal.aborted) return;
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function watch(work: Work, spec: RunSpec): Promise<void> {
  const fault = await watchLive(work, spec);
  if (fault === undefined) return;
  const { back } = await judge(work, spec, fault);
  // At once, whatever the processes are still waiting for. Where it fails, it is tried again.
  if (back) await moveBack(work, spec).catch((err: unknown) => work.log.warn({ err }, "the traffic did not go back"));
}

/**
 * Moves the traffic. Static files come first, so that a page from either release finds its assets at every moment.
 * @throws CutoverError nginx_* where nginx refuses: then nothing has moved, and the deployment is undone
 */
async function cutOver(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  const { ports, state, deployment } = work;
  const staged = state.staged?.run === spec.run ? null : state.staged;
  await saveJournal(work, "cut_over");
  await ports.releases.publish(spec.app, { current: spec.release, ...leavingRelease(work, spec) });
  try {
    const { reloaded } = await ports.traffic.route(spec.app, await routeFor(work, { live: spec.run, staged }));
    if (reloaded) deployment.notice("nginx was reloaded, since its files for the app changed");
  } catch (thrown) {
    if (state.live !== spec.run && !(await hasTraffic(work, spec))) await saveJournal(work, deployment.state);
    throw thrown;
  }
  await ports.releases.publish(spec.app, { canary: null, ...(staged === null && { staged: null }) });
  const now = ports.clock.now();
  const { keep_warm, watch } = spec.config;
  const warmUntil = new Date(now + Math.max(milliseconds(keep_warm), milliseconds(watch)));
  setLive(state, spec.run, { now: new Date(now), warmUntil, rollback });
  await reach(work, "cut_over");
}

/** A canary has had a part of it before: what counts is whether all of it has moved. */
async function hasTraffic({ ports }: Work, spec: RunSpec): Promise<boolean> {
  const slots = await ports.traffic.assigned(spec.app);
  const own = (await ports.privileged.instances(spec)).map(({ address }) => slots.get(address) ?? 0);
  return own.reduce((total, count) => total + count, 0) === allSlots;
}

/** The release whose static files pages still ask for; none when the same release only gets fresh instances. */
function leavingRelease({ state }: Work, spec: RunSpec): { previous?: string } {
  const from = state.journal?.from ?? null;
  const release = from === null ? null : releaseOfRun(from);
  return release === null || release === spec.release ? {} : { previous: release };
}

async function drain(work: Work, to: RunSpec): Promise<void> {
  const { state, deployment } = work;
  const old = state.warm?.run;
  if (old === undefined || !(await isUp(work, old))) return reach(work, "drained", "there was nothing to drain");
  const spec = await runSpec(work, old);
  const { open, settled, ended } = await drainRun(work, spec, to.config);
  if (ended > 0) deployment.drained(ended);
  if (!settled) {
    deployment.notice(
      `nginx's workers from before the reload still serve somebody after ${spec.config.drain.timeout}: a download, a WebSocket, or an upload that would find its instance gone`,
    );
  }
  if (open === 0) return reach(work, "drained", settled ? undefined : "limit reached with old nginx workers");
  deployment.notice(`${open} requests were still open on the old instances after ${spec.config.drain.timeout}`);
  await reach(work, "drained", `limit reached with ${open} open`);
}

async function isUp({ ports, state }: Work, run: string): Promise<boolean> {
  if (findRelease(state, releaseOfRun(run)) === undefined) return false;
  return (await ports.privileged.programs(state.app, run)) !== undefined;
}

/** With `keep_warm` the old instances stay up, and housekeeping retires them later. Those of a watch are not needed any more. */
async function retireOld(work: Work, spec: RunSpec): Promise<void> {
  const { state, deployment } = work;
  if (state.warm !== null && milliseconds(spec.config.keep_warm) === 0) {
    const cut = await retire(work, state.warm.run);
    if (cut > 0) deployment.cut(cut);
    state.warm = null;
    await reach(work, "retired");
  } else if (state.warm !== null) {
    deployment.notice(`${state.warm.run} stays warm until ${state.warm.until}`);
  }
}
