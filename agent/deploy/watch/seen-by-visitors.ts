import type { DeploymentRequests } from "../../../shared/requests-view.ts";
import { requestsWords } from "../../../shared/requests-view.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type Counts, latencyQuantile } from "../../contracts/requests.ts";
import type { DeployContext } from "../context.ts";

/** For how long before the cutover the release before is looked at, in milliseconds. */
const beforeMs = 10 * 60_000;

/** How long lines of requests may take to come, in milliseconds. */
const lateMs = 200;

/**
 * Says what visitors saw of a release since the cutover, and of the one before it. Nothing without requests: a quiet site, or
 * one for which nginx writes no lines, has nothing to say.
 * @param since when the traffic had moved
 */
export async function tellSeen(
  { ports, state, deployment }: DeployContext,
  spec: RunSpec,
  since: number,
): Promise<void> {
  const { requests, clock } = ports;
  await requests.read(spec.app);
  const counted = requests.counted(spec.app, { from: since });
  const own = counted.runs.find(({ run }) => run === spec.run);
  if (own === undefined) return;
  const from = state.journal?.from ?? null;
  const past = requests.counted(spec.app, { from: since - beforeMs, to: Math.min(since + lateMs, clock.now()) });
  const old = from === spec.run ? undefined : past.runs.find(({ run }) => run === from && run !== null);
  const seen: DeploymentRequests = {
    ...summary(own),
    ...(old !== undefined && past.gap === undefined && { before: summary(old) }),
  };
  if (counted.gap === undefined) deployment.seen(seen);
  const doubt = counted.gap === undefined ? "" : ` (some may be missing: ${counted.gap})`;
  deployment.notice(`${requestsWords(seen)}${doubt}`);
}

function summary(counts: Counts): Omit<DeploymentRequests, "before"> {
  const p95 = latencyQuantile(counts, 0.95);
  return { requests: counts.requests, failed: counts.classes["5xx"], ...(p95 !== undefined && { p95 }) };
}
