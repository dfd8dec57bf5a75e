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
  processFault,
  programFault,
} from "./run-health.ts";

/** Watches the new instances after the cutover, while the old ones are still warm. */

/** supervisor is asked more often than the instances: if one has ended, the traffic must go back at once. */
const pollMs = 500;
const steps = checkEveryMs / pollMs;
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
 * Watches the live run until the end of `watch`, or until a waiting rollback ends it.
 * @returns what is wrong with the run, or undefined
 */
export async function watchLive(context: DeployContext, spec: RunSpec): Promise<string | undefined> {
  const { ports, deployment, stopping } = context;
  const { watch } = spec.config;
  const signal = AbortSignal.any([stopping, deployment.watchEnded]);
  const until = ports.clock.elapsed() + milliseconds(watch);
  const checks = new LiveChecks(context, spec);
  deployment.notice(`${spec.run} is watched for ${watch}: if it fails, the deployment fails`);
  // A check that has begun to fail is repeated until it is clear, also past the end.
  for (let step = 0; (ports.clock.elapsed() < until || checks.failing) && !signal.aborted; step++) {
    const fault = (await checks.programs()) ?? (step % steps === 0 ? await checks.health() : undefined);
    if (fault !== undefined) return fault;
    await sleepUntil(signal, () => ports.clock.sleep(pauseBefore(until - ports.clock.elapsed()), signal));
  }
  stopping.throwIfAborted();
  return undefined;
}

/** The two checks of a watch. Each returns what is wrong with the run, once that is certain. */
class LiveChecks {
  readonly #context: DeployContext;
  readonly #spec: RunSpec;
  readonly #pids = new Map<string, number>();
  readonly #processes = new Map<string, { pid: number; restarts: number }>();
  #failures = 0;

  constructor(context: DeployContext, spec: RunSpec) {
    this.#context = context;
    this.#spec = spec;
  }

  /** Whether the last health check failed. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** If supervisord does not answer, that says nothing of the release; the instances still do. */
  programs(): Promise<string | undefined> {
    const { ports, log } = this.#context;
    const look = async () =>
      (await programFault(ports, this.#spec, this.#pids)) ?? (await processFault(ports, this.#spec, this.#processes));
    return answerOf(look, log);
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

/** @param left milliseconds to the end of the watch */
function pauseBefore(left: number): number {
  return left > 0 ? Math.min(pollMs, left) : pollMs;
}

/** Writes into the journal that the release failed, and whether the traffic goes back. A restart does not decide again. */
export async function judge(context: DeployContext, spec: RunSpec, fault: string): Promise<{ back: boolean }> {
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
  deployment.notice(`${spec.run} failed: ${fault}. ${back ? `The traffic goes back to ${from}` : why}`);
  return { back };
}

/** Traffic never goes back to a run that is not well. */
async function whyNotBack(context: DeployContext, spec: RunSpec, from: string | null): Promise<string | undefined> {
  const { ports, settings, state, stopping, log } = context;
  if (from === null || from === spec.run) {
    return `There is no release to go back to: ${spec.run} keeps the traffic.`;
  }
  // If supervisor does not answer, the answers of the old instances decide.
  const known = await answerOf(async () => (await ports.privileged.programs(state.app, from)) !== undefined, log);
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
