import { isAtLeast, type ReportedState } from "../../shared/deployment-states.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { deadline, realTime, type Time } from "../runner/time.ts";
import { isWatchFailure } from "./deployment-end.ts";
import type { HostDeploy } from "./host-deploy.ts";

/**
 * The order in which the hosts are done. Each function throws the first failure, after it has undone what it had begun
 * on other hosts. The reports of the hosts say what happened on each.
 */

export interface StageRequest {
  bundle: Bundle;
  /** The app has a release command: it runs on the first host alone, before the others begin. */
  releaseCommand: boolean;
  signal: AbortSignal;
  ending?: Ending;
}

/** What decides how long the job may undo what it did. */
export interface Ending {
  /** Aborted if a person cancels the job, also after its signal was aborted for another reason. */
  cancelled: AbortSignal;
  time: Time;
}

const usualEnding: Ending = { cancelled: new AbortController().signal, time: realTime };

export interface DeployRequest extends StageRequest {
  /** Gives the staged release a part of the traffic first. If it throws, all traffic goes back. */
  raise?: ((hosts: HostDeploy[]) => Promise<void>) | undefined;
}

/** Long enough for a busy host, short enough for the next job if this one is killed. */
const leaseMs = 60_000;

/** Stages the release on all hosts, then moves the traffic: first in steps if there are any, then host by host. */
export async function deployAll(hosts: HostDeploy[], request: DeployRequest): Promise<void> {
  await stageAll(hosts, request, leaseMs);
  try {
    await request.raise?.(hosts);
  } catch (thrown) {
    await undoAll(hosts, request.signal, request.ending);
    throw thrown;
  }
  await activateAll(hosts, request.bundle.release, request.signal, request.ending);
}

/**
 * Makes the release ready on every host, or on none.
 * @param leaseMs how long each host keeps the app for this job's activation; renewed while the job runs; 0 for no lease
 */
export async function stageAll(hosts: HostDeploy[], request: StageRequest, leaseMs = 0): Promise<void> {
  const { bundle, releaseCommand, signal, ending } = request;
  const others = new AbortController();
  const stop = AbortSignal.any([signal, others.signal]);
  const started: Promise<void>[] = [];
  const start = (host: HostDeploy, withCommand: boolean, onReleased?: () => void) => {
    const onState = (state: ReportedState) => {
      if (isAtLeast(state, "released")) onReleased?.();
    };
    started.push(host.stage(bundle, { releaseCommand: withCommand, leaseMs, signal: stop, onState }));
  };
  try {
    const [first, ...rest] = hosts;
    if (first !== undefined && releaseCommand) {
      const released = Promise.withResolvers<void>();
      start(first, true, released.resolve);
      await Promise.race([released.promise, ...started]);
      for (const host of rest) start(host, false);
    } else {
      for (const host of hosts) start(host, false);
    }
    await Promise.all(started);
  } catch (thrown) {
    others.abort(thrown);
    await Promise.allSettled(started);
    await undoAll(hosts, signal, ending);
    throw thrown;
  }
}

/**
 * Moves the traffic host by host. If one fails, or if the time is over, the hosts before it go back and the hosts
 * after it are aborted. The same happens if a host's own watch fails later.
 */
export async function activateAll(
  hosts: HostDeploy[],
  release: string,
  signal: AbortSignal,
  ending?: Ending,
): Promise<void> {
  const finishing: Promise<void>[] = [];
  let unwell: unknown;
  try {
    for (const host of hosts) {
      if (unwell !== undefined) throw unwell;
      const { finished } = await host.activate(release, signal);
      // It is awaited below. Until then it must not count as unhandled.
      finished.catch((thrown: unknown) => {
        if (failedWatch(thrown)) unwell ??= thrown;
      });
      finishing.push(finished);
    }
    await Promise.all(finishing.map((finished) => finished.catch(throwFailedWatch)));
  } catch (thrown) {
    await undoAll(hosts, signal, ending, true);
    throw thrown;
  }
  const ends = await Promise.allSettled(finishing);
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** The host went back by itself. After any other late failure it serves the new release, like the others. */
function failedWatch(thrown: unknown): boolean {
  return thrown instanceof CutoverError && isWatchFailure(thrown.code);
}

function throwFailedWatch(thrown: unknown): void {
  if (failedWatch(thrown)) throw thrown;
}

/** One host after the other. The first failure leaves the hosts after it as they are. */
export async function oneByOne(
  hosts: HostDeploy[],
  each: (host: HostDeploy) => Promise<void>,
  signal: AbortSignal,
  ending?: Ending,
): Promise<void> {
  try {
    for (const host of hosts) await each(host);
  } catch (thrown) {
    await undoAll(hosts, signal, ending);
    throw thrown;
  }
}

const abortMs = 60_000;
const revertMs = 300_000;
/** GitHub kills a cancelled job ten seconds after it asks it to end. */
const cancelledAbortMs = 7000;

/**
 * Undoes what was done on all hosts.
 * @param goBack also on those that have cut over. A cancelled job has no time for that: what has cut over stays.
 */
async function undoAll(
  hosts: HostDeploy[],
  signal: AbortSignal,
  { cancelled, time }: Ending = usualEnding,
  goBack = false,
): Promise<void> {
  const isCancelled = cancelled.aborted || (signal.aborted && signal.reason?.code === "aborted");
  const abort = new AbortController();
  const hurry = () => {
    const end = deadline(time, cancelledAbortMs);
    end.addEventListener("abort", () => abort.abort(end.reason), { once: true });
  };
  if (isCancelled) hurry();
  else cancelled.addEventListener("abort", hurry, { once: true });
  const aborting = AbortSignal.any([abort.signal, deadline(time, abortMs)]);
  const reverting = isCancelled || !goBack ? undefined : AbortSignal.any([cancelled, deadline(time, revertMs)]);
  await Promise.allSettled(hosts.map((host) => host.undo(aborting, reverting)));
  cancelled.removeEventListener("abort", hurry);
}
