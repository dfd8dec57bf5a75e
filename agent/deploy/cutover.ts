import { milliseconds } from "../../shared/duration.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { RunSpec } from "../ports.ts";
import { assertRunning } from "./health.ts";
import { retire } from "./retire.ts";
import { findRelease, setLive } from "./state.ts";
import { reach, runSpec, saveJournal, sum, type Work } from "./work.ts";

export const allSlots = 60;
const drainPollMs = 50;

/** From a healthy run to one that has the traffic. Before it a failure undoes; once it has begun, it finishes. */
export async function bringLive(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  const { ports, deployment } = work;
  await ports.traffic.prepare(spec.app);
  const { changed } = await ports.privileged.writeSite(spec.app, spec.config);
  if (changed) deployment.notice("nginx was reloaded, since the site's text changed");
  await assertRunning(work, spec);
  await ports.releases.sync(spec.app, spec.release);
  deployment.signal.throwIfAborted();
  await finishForward(work, spec, rollback);
}

/** The part that is never undone, also taken up again after a crash; each of its effects may safely be done twice. */
export async function finishForward(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  await cutOver(work, spec, rollback);
  await drain(work);
  await retireOld(work, spec);
}

/**
 * Moves the traffic. Static files come first, so that a page from either release finds its assets at every moment;
 * then one rename moves all slots.
 */
async function cutOver(work: Work, spec: RunSpec, rollback: boolean): Promise<void> {
  const { ports, state } = work;
  await saveJournal(work, "cut_over");
  await ports.releases.publish(spec.app, { current: spec.release, previous: leavingRelease(work, spec) });
  await ports.traffic.assign(spec.app, [
    { run: spec.run, instances: ports.privileged.instances(spec), slots: allSlots },
  ]);
  const now = ports.clock.now();
  const warmUntil = new Date(now + milliseconds(spec.config.keep_warm));
  setLive(state, spec.run, { now: new Date(now), warmUntil, rollback });
  await reach(work, "cut_over");
}

/** The release whose static files pages still ask for; null when the same release only gets fresh instances. */
function leavingRelease({ state }: Work, spec: RunSpec): string | null {
  const from = state.journal?.from ?? null;
  const release = from === null ? null : releaseOfRun(from);
  return release === spec.release ? null : release;
}

/** Waits until the old instances' last connection is gone, or the limit is reached. Counted, not guessed. */
async function drain(work: Work): Promise<void> {
  const { ports, state, deployment, stopping } = work;
  const old = state.warm?.run;
  if (old === undefined || !(await isUp(work, old))) return reach(work, "drained", "there was nothing to drain");
  const spec = await runSpec(work, old);
  const sockets = ports.privileged.instances(spec).map(({ socket }) => socket);
  await ports.traffic.settled(spec.app, stopping);
  const deadline = ports.clock.now() + milliseconds(spec.config.drain.timeout);
  let quiet = 0;
  for (;;) {
    const open = sum(await ports.connections.count(sockets));
    // Twice in a row: a worker that had looked up the old slot just before the rename connects within microseconds.
    quiet = open === 0 ? quiet + 1 : 0;
    if (quiet === 2) return reach(work, "drained");
    if (ports.clock.now() >= deadline) {
      deployment.notice(`${open} requests were still open on the old instances after ${spec.config.drain.timeout}`);
      return reach(work, "drained", `limit reached with ${open} open`);
    }
    await ports.clock.sleep(drainPollMs, stopping);
  }
}

async function isUp({ ports, state }: Work, run: string): Promise<boolean> {
  if (findRelease(state, releaseOfRun(run)) === undefined) return false;
  return (await ports.privileged.programs(state.app, run)) !== undefined;
}

/** With `keep_warm` the old instances stay up, and housekeeping retires them later. */
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
