import { isAtLeast, type ReportedState } from "../../shared/deployment-states.ts";
import { CutoverError } from "../../shared/errors.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { manyHosts } from "../report/job-report.ts";
import { deadline, realTime, type Time, unlessAborted } from "../runner/time.ts";
import { isWatchFailure } from "./deployment-end.ts";
import { Gate } from "./gate.ts";
import type { HostDeploy } from "./host-deploy.ts";
import { Failures, inWaves, type Plan, usualPlan } from "./waves.ts";

/**
 * The order in which the hosts are done. Each function throws the first failure, after it has undone what it had begun
 * on other hosts. The reports of the hosts say what happened on each.
 */

/** The order and the limits of a job on several hosts. */
export interface RolloutOptions {
  /** Host by host unless given. */
  plan?: Plan;
  /** A line for the log of a job on many hosts. */
  say?(line: string): void;
}

export interface StageRequest extends RolloutOptions {
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

/** As many uploads at the same time: each fills buffers of its own. */
const uploadsAtOnce = 32;

/** Stages the release on all hosts, then moves the traffic: first in steps if there are any, then in waves. */
export async function deployAll(hosts: HostDeploy[], request: DeployRequest): Promise<void> {
  const { bundle, signal, ending, plan, say } = request;
  const failures = new Failures(plan?.maxFailures ?? 0);
  const staged = await stageOn(hosts, request, failures, leaseMs);
  try {
    await request.raise?.(staged);
  } catch (thrown) {
    await undoAll(staged, signal, ending);
    throw thrown;
  }
  await activateOn(staged, bundle.release, {
    signal,
    failures,
    ...(plan && { plan }),
    ...(say && { say }),
    ...(ending && { ending }),
  });
}

/**
 * Makes the release ready on every host, or on none.
 * @param leaseMs how long each host keeps the app for this job's activation; renewed while the job runs; 0 for no lease
 */
export async function stageAll(hosts: HostDeploy[], request: StageRequest, leaseMs = 0): Promise<void> {
  const failures = new Failures(request.plan?.maxFailures ?? 0);
  await stageOn(hosts, request, failures, leaseMs);
  failures.throwFirst();
}

/** @returns the hosts that have it staged. @throws the failure that was one too many, or that of the release command's host */
async function stageOn(
  hosts: HostDeploy[],
  request: StageRequest,
  failures: Failures,
  leaseMs: number,
): Promise<HostDeploy[]> {
  const { bundle, releaseCommand, signal, ending, say } = request;
  const others = new AbortController();
  const stop = AbortSignal.any([signal, others.signal, failures.tooMany]);
  const gate = new Gate(uploadsAtOnce);
  const started: Promise<void>[] = [];
  let ready = 0;
  const start = (host: HostDeploy, withCommand: boolean, onReleased?: () => void) => {
    const onState = (state: ReportedState) => {
      if (isAtLeast(state, "released")) onReleased?.();
      if (state === "healthy" && hosts.length > manyHosts && ++ready % 50 === 0)
        say?.(`ready on ${ready} of ${hosts.length} hosts`);
    };
    const firstHost = host === hosts[0];
    const options = { releaseCommand: withCommand, firstHost, leaseMs, signal: stop, onState, gate };
    const staging = host.stage(bundle, options);
    started.push(staging);
    return staging.catch((thrown: unknown) => {
      if (!stop.aborted) failures.add(host, thrown);
      if (withCommand || stop.aborted) throw thrown;
    });
  };
  const all: Promise<void>[] = [];
  try {
    const [first, ...rest] = hosts;
    if (first !== undefined && releaseCommand) {
      const released = Promise.withResolvers<void>();
      const leading = start(first, true, released.resolve);
      all.push(leading);
      await Promise.race([released.promise, leading]);
      all.push(...rest.map((host) => start(host, false)));
    } else {
      all.push(...hosts.map((host) => start(host, false)));
    }
    await Promise.all(all);
  } catch (thrown) {
    others.abort(thrown);
    await Promise.allSettled([...started, ...all]);
    await undoAll(hosts, signal, ending);
    throw thrown;
  }
  if (failures.hosts.length > 0) await undoAll(failures.hosts, signal, ending);
  return hosts.filter((host) => !failures.has(host));
}

interface ActivateOptions extends RolloutOptions {
  signal: AbortSignal;
  ending?: Ending;
}

/**
 * Moves the traffic in waves; host by host unless the plan says otherwise. If more hosts fail than may, or if the time is over,
 * those that have it go back and the others are aborted. The same happens if a host's own watch fails later.
 */
export function activateAll(hosts: HostDeploy[], release: string, options: ActivateOptions): Promise<void> {
  return activateOn(hosts, release, { ...options, failures: new Failures(options.plan?.maxFailures ?? 0) });
}

async function activateOn(
  hosts: HostDeploy[],
  release: string,
  { signal, ending = usualEnding, plan = usualPlan, say = silent, failures }: ActivateOptions & { failures: Failures },
): Promise<void> {
  const finishing: Promise<void>[] = [];
  const before = new Set(failures.hosts);
  try {
    await inWaves(hosts, { plan, failures, signal, time: ending.time, say }, async (host) => {
      const { finished } = await host.activate(release, signal);
      // It is awaited below. Until then it must not count as unhandled.
      finished.catch((thrown: unknown) => {
        if (failedWatch(thrown)) failures.add(host, thrown);
      });
      finishing.push(finished);
    });
    await unlessAborted(Promise.allSettled(finishing), failures.tooMany);
    failures.tooMany.throwIfAborted();
  } catch (thrown) {
    await undoAll(hosts, signal, ending, true);
    throw thrown;
  }
  const unable = failures.hosts.filter((host) => !before.has(host));
  if (unable.length > 0) await undoAll(unable, signal, ending);
  failures.throwFirst();
  const ends = await Promise.allSettled(finishing);
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

const silent = () => {};

/** The host went back by itself. After any other late failure it serves the new release, like the others. */
function failedWatch(thrown: unknown): boolean {
  return thrown instanceof CutoverError && isWatchFailure(thrown.code);
}

/** In waves, without a way back: too many failures leave the hosts after them as they are. */
export async function onAll(
  hosts: HostDeploy[],
  each: (host: HostDeploy) => Promise<void>,
  { signal, ending = usualEnding, plan = usualPlan, say = silent }: ActivateOptions,
): Promise<void> {
  const failures = new Failures(plan.maxFailures);
  try {
    await inWaves(hosts, { plan, failures, signal, time: ending.time, say }, each);
  } catch (thrown) {
    await undoAll(hosts, signal, ending);
    throw thrown;
  }
  if (failures.hosts.length > 0) await undoAll(failures.hosts, signal, ending);
  failures.throwFirst();
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
