import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { toFailure } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { runSpec, saveJournal, type Work } from "../context.ts";
import { checkEveryMs, failuresInARow, healthFault, lastLogLines, programFault } from "./run-health.ts";

/** What follows the new instances after the cutover, while the old ones are still warm. */

/** supervisor is asked more often than the instances: what has ended has to go back at once. */
const pollMs = 500;
const steps = checkEveryMs / pollMs;
/** The old run gets as long as a check that failed by a moment's load needs to pass. */
const oldRunChecks = 3;

/** Whether what a deployment brings live is watched. */
export function isWatched({ state, deployment }: Work, { config }: RunSpec): boolean {
  // A rollback leaves a release on purpose, so it never returns to that by itself. And an agent that was restarted in the
  // middle does not hold up its start.
  const taken = deployment.view.kind === "rollback" || (state.journal?.attempts ?? 0) > 0;
  return !taken && state.journal?.verdict === undefined && milliseconds(config.watch) > 0;
}

/**
 * Follows a run that has the traffic until the end of `watch`, or until the first who waits to go back.
 * @returns what is wrong with it; undefined when nothing was
 */
export async function watchLive({ ports, settings, deployment, stopping }: Work, spec: RunSpec) {
  const { watch } = spec.config;
  const signal = AbortSignal.any([stopping, deployment.watchEnded]);
  const until = ports.clock.elapsed() + milliseconds(watch);
  const pids = new Map<string, number>();
  deployment.notice(`${spec.run} is watched for ${watch}: when it fails, the deployment does`);
  let failures = 0;
  // What has begun to fail is looked at until it is clear, also past the end.
  for (let step = 0; (ports.clock.elapsed() < until || failures > 0) && !signal.aborted; step++) {
    // A supervisord that does not answer says nothing of the release; its instances still do.
    const ended = await programFault(ports, spec, pids).catch(() => undefined);
    if (ended !== undefined) return ended;
    if (step % steps === 0) {
      const fault = await healthFault(ports, settings, spec);
      failures = fault === undefined ? 0 : failures + 1;
      if (failures === failuresInARow) return `${fault}, ${failuresInARow} times in a row`;
      if (fault !== undefined) deployment.notice(`a check failed: ${fault}`);
    }
    const left = until - ports.clock.elapsed();
    await ports.clock.sleep(left > 0 ? Math.min(pollMs, left) : pollMs, signal).catch(() => undefined);
  }
  stopping.throwIfAborted();
  return undefined;
}

/** Writes into the journal that the release failed, and whether the traffic goes back: decided once, also for a restart. */
export async function judge(work: Work, spec: RunSpec, fault: string): Promise<{ back: boolean }> {
  const { ports, state, deployment } = work;
  if (state.journal === null) return { back: false };
  const { from } = state.journal;
  const why = await whyNotBack(work, spec, from);
  const reason = await watchFailed(
    ports,
    spec,
    fault,
    why ?? `All traffic went back to ${from}, which was still warm.`,
  );
  const back = why === undefined;
  state.journal.verdict = { failure: toFailure(reason), back };
  await saveJournal(work);
  deployment.notice(`${spec.run} failed: ${fault}. ${back ? `The traffic goes back to ${from}` : why}`);
  return { back };
}

/** Traffic never goes to a run that is no better. */
async function whyNotBack(work: Work, spec: RunSpec, from: string | null): Promise<string | undefined> {
  const { ports, settings, state, stopping } = work;
  if (from === null || from === spec.run) {
    return `There is no release to go back to: ${spec.run} keeps the traffic.`;
  }
  // Where supervisor does not answer, the old instances' own answers tell.
  if ((await ports.privileged.programs(state.app, from).catch(() => [])) === undefined) {
    return `${from} is no longer up: ${spec.run} keeps the traffic.`;
  }
  const old = await runSpec(work, from);
  let fault: string | undefined;
  for (let check = 0; check < oldRunChecks; check++) {
    if (check > 0) await ports.clock.sleep(pollMs, stopping);
    fault = await healthFault(ports, settings, old);
    if (fault === undefined) return undefined;
  }
  return `${from} is not well either (${fault}): ${spec.run} keeps the traffic.`;
}

async function watchFailed(ports: Ports, spec: RunSpec, fault: string, unchanged: string): Promise<CutoverError> {
  return new CutoverError("watch_failed", `${spec.release} failed after the cutover: ${fault}.`, {
    unchanged,
    fix: "Look at its instances' logs below. Correct it and deploy again.",
    evidence: await lastLogLines(ports, spec),
  });
}
