import { latencyQuantile } from "../contracts/requests.ts";
import type { Comparison, Observed } from "./compare.ts";
import type { Verdict } from "./release-judge.ts";

/** What a person reads of a comparison. */

export function inThousands(count: number): string {
  return count.toLocaleString("en");
}

/** A share of the requests, such as `5.2 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function errors({ requests, failed }: Observed): string {
  return `${percent(failed / requests)} of ${inThousands(requests)}`;
}

function quantile({ latency }: Observed, share: number): string {
  return `${Math.round(latencyQuantile({ latency }, share) ?? 0)} ms`;
}

/**
 * Why a release is worse, as a clause.
 * @param baseline what it is compared with: `before`, or `the live release at the same time`
 */
export function whyWorse({ comparison, by }: Extract<Verdict, { kind: "worse" }>, baseline: string): string {
  const { candidate, baseline: other } = comparison;
  if (by === "errors") {
    return `${errors(candidate)} requests of its visitors answered 5xx; ${baseline}: ${errors(other)}`;
  }
  const times = (side: Observed) => `p50 ${quantile(side, 0.5)}, p95 ${quantile(side, 0.95)}`;
  return `its visitors waited too long in ${inThousands(candidate.requests)} requests: ${times(candidate)}; ${baseline}: ${times(other)}`;
}

/** How the two compare, for a release that stays. */
export function compared({ candidate, baseline }: Comparison, before: string): string {
  const side = (seen: Observed) => `${errors(seen)} requests answered 5xx, p95 ${quantile(seen, 0.95)}`;
  return `${side(candidate)}; ${before}: ${side(baseline)}`;
}
