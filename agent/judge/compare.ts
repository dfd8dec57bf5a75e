import { latencyQuantile } from "../contracts/requests.ts";
import { lowerBound, upperBound } from "./binomial.ts";
import { exactTest } from "./exact-test.ts";
import type { JudgeLimits } from "./limits.ts";
import { quantileBounds, rankTest, total } from "./rank-test.ts";

/** Whether one side's requests went worse than the other's, at one moment. */

/** What was seen of one release in one window of time. */
export interface Observed {
  requests: number;
  /** Answers of 5xx. */
  failed: number;
  /** How many answers took how long, by bucket. It may leave out the first seconds of a release. */
  latency: number[];
}

export interface Comparison {
  candidate: Observed;
  baseline: Observed;
  /** How many failures of the baseline come together, as `dispersionOf` says it. */
  dispersion: number;
}

/** Fewer failures than this say nothing of a release, whatever their share: one visitor may have asked again and again. */
export const fewestFailures = 5;

/** A slower answer that nobody notices is no fault: milliseconds that the slower one must take longer. */
const noticedMs = 20;

/** Of half of the visitors, and of those who wait longest. */
const quantiles = [0.5, 0.95];

/** Whether more requests fail, by more than chance can explain and by more than the limit. */
export function failsMore(
  { candidate, baseline, dispersion }: Comparison,
  limits: JudgeLimits,
  alpha: number,
): boolean {
  if (candidate.failed < fewestFailures) return false;
  const more = candidate.failed / candidate.requests - baseline.failed / baseline.requests;
  if (more < limits.errors) return false;
  // In doubt for the candidate.
  const first = { count: Math.floor(candidate.failed / dispersion), of: Math.round(candidate.requests / dispersion) };
  const second = { count: Math.ceil(baseline.failed / dispersion), of: Math.round(baseline.requests / dispersion) };
  return exactTest(first, second) <= alpha;
}

/** Whether answers take longer, by more than chance can explain and by more than the limit. */
export function isSlower(comparison: Comparison, limits: JudgeLimits, alpha: number): boolean {
  if (!hasLatencies(comparison, limits) || !looksSlower(comparison, limits)) return false;
  return rankTest(comparison.candidate.latency, comparison.baseline.latency) <= alpha;
}

function hasLatencies({ candidate, baseline }: Comparison, { requests }: JudgeLimits): boolean {
  return [candidate, baseline].every(({ latency }) => total(latency) >= requests);
}

function looksSlower({ candidate, baseline }: Comparison, { latency }: JudgeLimits): boolean {
  return quantiles.some((share) => {
    const [now = 0, before = 0] = [candidate, baseline].map((side) => latencyQuantile(side, share));
    return now >= before * latency && now - before >= noticedMs;
  });
}

/**
 * Whether it is shown that the candidate is no worse than the limits allow. That is more than not having been found worse,
 * and needs more requests. Each of the four bounds is wrong with a probability of at most `alpha` divided by four.
 */
export function isWell(comparison: Comparison, limits: JudgeLimits, alpha: number): boolean {
  const { candidate, baseline, dispersion } = comparison;
  const each = alpha / 4;
  const most = upperBound(Math.ceil(candidate.failed / dispersion), Math.ceil(candidate.requests / dispersion), each);
  const least = lowerBound(Math.floor(baseline.failed / dispersion), Math.ceil(baseline.requests / dispersion), each);
  if (most - least >= limits.errors) return false;
  if (!hasLatencies(comparison, limits) || looksSlower(comparison, limits)) return false;
  const { upper } = quantileBounds(candidate.latency, 0.5, each);
  const { lower } = quantileBounds(baseline.latency, 0.5, each);
  return upper < lower * limits.latency || upper - lower < noticedMs;
}
