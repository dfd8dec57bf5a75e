import { milliseconds } from "../../../shared/duration.ts";
import { toFailure } from "../../../shared/protocol.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, runSpec, saveJournal } from "../context.ts";
import { recordVerdict } from "../state.ts";
import {
  answerOf,
  checkEveryMs,
  failureReason,
  failuresInARow,
  healthFault,
  isUp,
  processFault,
  programFault,
  type RunFault,
} from "./run-health.ts";
import { judgeOfWatch, type VisitorsJudge } from "./visitors-judge.ts";

/** Watches the new instances after the cutover, while the old ones are still warm. */

/** supervisor is asked more often than the instances: if one has ended, the traffic must go back at once. */
const pollMs = 500;
const steps = checkEveryMs / pollMs;
/** A watch ends early only if it is shown that visitors fare well; by then it has seen whether the instances stay up, too. */
const leastShare = 1 / 3;
const leastMs = 10_000;
/** The old run may fail a check because of a moment's load, so it is asked more than once. */
const oldRunChecks = 3;

/**
 * Whether a fault takes back what a deployment brings live. A rollback leaves a release on purpose, so it never returns to it by
 * itself. And a restarted agent does not delay its start.
 */
export function isJudged({ state, deployment, recovery }: DeployContext): boolean {
  return deployment.view.kind !== "rollback" && recovery === undefined && state.journal?.verdict === undefined;
}

/** Whether it is watched for a while. */
export function isWatched(context: DeployContext, { config }: RunSpec): boolean {
  return isJudged(context) && milliseconds(config.watch) > 0;
}

/**
 * Watches the live run until the end of `watch`, until a waiting rollback ends it, or until there is evidence enough that it is
 * well.
 * @returns what is wrong with the run, or undefined
 */
export async function watchLive(context: DeployContext, spec: RunSpec): Promise<RunFault | undefined> {
  const { ports, deployment, stopping } = context;
  const { watch } = spec.config;
  const signal = AbortSignal.any([stopping, deployment.watchEnded]);
  const begun = ports.clock.elapsed();
  const until = begun + milliseconds(watch);
  const early = begun + Math.max(leastMs, milliseconds(watch) * leastShare);
  const checks = new LiveChecks(context, spec);
  deployment.notice(`${spec.run} is watched for ${watch}: if it fails, the deployment fails`);
  // A check that has begun to fail is repeated until it is clear, also past the end.
  for (let step = 0; (ports.clock.elapsed() < until || checks.failing) && !signal.aborted; step++) {
    const fault = (await checks.programs()) ?? (step % steps === 0 ? await checks.all() : undefined);
    if (fault !== undefined) return fault;
    if (checks.isWell && ports.clock.elapsed() >= early) break;
    await sleepUntil(signal, () => ports.clock.sleep(pauseBefore(until - ports.clock.elapsed()), signal));
  }
  stopping.throwIfAborted();
  const late = signal.aborted || checks.isWell ? undefined : await checks.visitors();
  if (late === undefined) checks.tellVisitors(ports.clock.elapsed() - begun);
  return late;
}

/** The checks of a watch. Each returns what is wrong with the run, once that is certain. */
class LiveChecks {
  readonly #context: DeployContext;
  readonly #spec: RunSpec;
  readonly #visitors: VisitorsJudge | undefined;
  readonly #pids = new Map<string, number>();
  readonly #processes = new Map<string, { pid: number; restarts: number }>();
  #failures = 0;

  constructor(context: DeployContext, spec: RunSpec) {
    this.#context = context;
    this.#spec = spec;
    const { ports, state } = context;
    const run = { spec, baseline: state.journal?.from ?? null, since: ports.clock.now() };
    const looks = Math.ceil(milliseconds(spec.config.watch) / checkEveryMs) + 1;
    this.#visitors = judgeOfWatch(ports, run, { looks, wasCanary: (state.journal?.weight ?? 0) > 0 });
  }

  /** Whether the last health check failed. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Whether it is shown that the run is no worse than the one before. */
  get isWell(): boolean {
    return !this.failing && this.#visitors?.last.kind === "well";
  }

  /** If supervisord does not answer, that says nothing of the release; the instances still do. */
  async programs(): Promise<RunFault | undefined> {
    const { ports, log } = this.#context;
    const look = async () =>
      (await programFault(ports, this.#spec, this.#pids)) ?? (await processFault(ports, this.#spec, this.#processes));
    return asFault(await answerOf(look, log));
  }

  /** What the instances answer, and what their visitors got. */
  async all(): Promise<RunFault | undefined> {
    return asFault(await this.health()) ?? (await this.visitors());
  }

  async visitors(): Promise<RunFault | undefined> {
    const verdict = await this.#visitors?.look();
    if (this.#visitors === undefined || verdict?.kind !== "worse") return undefined;
    return this.#visitors.fault(verdict);
  }

  /** @param spent how long the run was watched, in milliseconds */
  tellVisitors(spent: number): void {
    const { deployment } = this.#context;
    if (this.#visitors === undefined) return;
    const seconds = `${Math.round(spent / 1000)}s`;
    const early = spent < milliseconds(this.#spec.config.watch);
    if (early && this.isWell) deployment.notice(`the watch ends after ${seconds}: that is evidence enough`);
    deployment.notice(this.#visitors.said(seconds));
  }

  async health(): Promise<string | undefined> {
    const { ports, settings, deployment } = this.#context;
    const fault = await healthFault(ports, settings, this.#spec);
    this.#failures = fault === undefined ? 0 : this.#failures + 1;
    if (this.#failures === failuresInARow) return `${fault}, ${failuresInARow} times in a row`;
    if (fault !== undefined) deployment.notice(`a check failed: ${fault}`);
    return undefined;
  }
}

function asFault(text: string | undefined): RunFault | undefined {
  return text === undefined ? undefined : { text };
}

/** @param left milliseconds to the end of the watch */
function pauseBefore(left: number): number {
  return left > 0 ? Math.min(pollMs, left) : pollMs;
}

/** Writes into the journal that the release failed, and whether the traffic goes back. A restart does not decide again. */
export async function judge(context: DeployContext, spec: RunSpec, fault: RunFault): Promise<{ back: boolean }> {
  const { ports, state, deployment } = context;
  if (state.journal === null) return { back: false };
  const { from } = state.journal;
  const why = await whyNotBack(context, spec, from);
  const reason = await failureReason(ports, spec, {
    ...{ code: "watch_failed", said: `${spec.release} failed after the cutover`, fault },
    unchanged: why ?? `All traffic went back to ${from}, which was still warm.`,
  });
  const back = why === undefined;
  recordVerdict(state, toFailure(reason), back);
  await saveJournal(context);
  deployment.notice(`${spec.run} failed: ${fault.text}. ${back ? `The traffic goes back to ${from}` : why}`);
  return { back };
}

/** Traffic never goes back to a run that is not well. */
async function whyNotBack(context: DeployContext, spec: RunSpec, from: string | null): Promise<string | undefined> {
  const { ports, settings, state, stopping, log } = context;
  if (from === null || from === spec.run) {
    return `There is no release to go back to: ${spec.run} keeps the traffic.`;
  }
  // If supervisor does not answer, the answers of the old instances decide.
  const known = await answerOf(async () => isUp(await ports.privileged.programs(state.app, from)), log);
  if (known === false) {
    return `${from} is no longer up: ${spec.run} keeps the traffic.`;
  }
  const old = await runSpec(context, from);
  let fault: string | undefined;
  for (let check = 0; check < oldRunChecks; check++) {
    if (check > 0) await ports.clock.sleep(pollMs, stopping);
    fault = await healthFault(ports, settings, old);
    if (fault === undefined) return undefined;
  }
  return `${from} is not well either (${fault}): ${spec.run} keeps the traffic.`;
}

/** The loop itself looks at the signal. */
async function sleepUntil(signal: AbortSignal, sleep: () => Promise<void>): Promise<void> {
  try {
    await sleep();
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}
