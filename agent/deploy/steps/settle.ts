import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, reach, runSpec } from "../context.ts";
import { findRelease } from "../state.ts";
import { isJudged, isWatched, judge, watchLive } from "../watch/live-watch.ts";
import { revertTraffic } from "../watch/revert.ts";
import { tellSeen } from "../watch/seen-by-visitors.ts";
import { visitorFault } from "../watch/visitor.ts";
import { drainRun } from "./drain.ts";
import { reconcileProcesses } from "./processes.ts";

/** What follows the cutover, all at once: the old instances drain, the processes are handed over, the new run is watched. */
export async function settle(context: DeployContext, spec: RunSpec): Promise<void> {
  const { deployment } = context;
  const since = context.ports.clock.now();
  const goingBack = new AbortController();
  const stopping = AbortSignal.any([context.stopping, goingBack.signal]);
  const tell = (message: string) => deployment.notice(message);
  const handedOver = reconcileProcesses(context, spec, { tell, signal: stopping });
  const others = Promise.allSettled([drainOld({ ...context, stopping }, spec), handedOver]);
  const [watched] = await Promise.allSettled([watch(context, spec)]);
  await tellSeen(context, spec, since);
  if (context.state.journal?.verdict?.back === true) goingBack.abort(new Error("the traffic goes back"));
  const ends = [watched, ...(await others)];
  if (goingBack.signal.aborted) return;
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function watch(context: DeployContext, spec: RunSpec): Promise<void> {
  if (!isJudged(context)) return;
  const refused = await visitorFault(context, spec);
  const watched = async () => (isWatched(context, spec) ? await watchLive(context, spec) : undefined);
  const fault = refused ?? (await watched());
  if (fault === undefined) return;
  const { back } = await judge(context, spec, fault);
  // At once, whatever the processes are still waiting for. If it fails, it is tried again later.
  if (back) {
    await revertTraffic(context, spec).catch((err: unknown) =>
      context.log.warn({ err }, "the traffic did not go back"),
    );
  }
}

async function drainOld(context: DeployContext, to: RunSpec): Promise<void> {
  const { state, deployment } = context;
  const old = state.warm?.run;
  if (old === undefined || !(await isUp(context, old))) return reach(context, "drained", "there was nothing to drain");
  const spec = await runSpec(context, old);
  const { open, settled, ended } = await drainRun(context, spec, to.config);
  const { timeout } = spec.config.drain;
  if (ended > 0) deployment.drained(ended);
  if (!settled) {
    deployment.notice(
      `nginx's workers from before the reload still serve somebody after ${timeout}: a download, a WebSocket, or an upload that would find its instance gone`,
    );
  }
  if (open === 0) return reach(context, "drained", settled ? undefined : "limit reached with old nginx workers");
  deployment.notice(`${open} requests were still open on the old instances after ${timeout}`);
  await reach(context, "drained", `limit reached with ${open} open`);
}

async function isUp({ ports, state }: DeployContext, run: string): Promise<boolean> {
  if (findRelease(state, releaseOfRun(run)) === undefined) return false;
  return (await ports.privileged.programs(state.app, run)) !== undefined;
}
