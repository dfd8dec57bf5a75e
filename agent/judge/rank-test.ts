import { errorFunction } from "simple-statistics";
import { latencyQuantile } from "../contracts/requests.ts";
import { atLeast, atMost } from "./binomial.ts";

/** What two histograms with the same buckets say. Each is a list of counts, quick answers first. */

export function total(histogram: readonly number[]): number {
  return histogram.reduce((sum, count) => sum + count, 0);
}

/**
 * The rank test of H. B. Mann and D. R. Whitney ("On a test of whether one of two random variables is stochastically larger
 * than the other", 1947), one-sided: if both come from the same source, how probable is it that the values of the first rank
 * so high? What is in one bucket is tied. Normal approximation with the correction for ties and for continuity, as R's
 * `wilcox.test(alternative = "greater", exact = FALSE)`: it holds from about 20 values on each side.
 */
export function rankTest(first: readonly number[], second: readonly number[]): number {
  const [n, m] = [total(first), total(second)];
  const all = n + m;
  let below = 0;
  let wins = 0;
  let ties = 0;
  for (const [index, count] of first.entries()) {
    const other = second[index] ?? 0;
    wins += count * (below + other / 2);
    below += other;
    const tied = count + other;
    ties += tied ** 3 - tied;
  }
  const variance = ((n * m) / 12) * (all + 1 - ties / (all * (all - 1)));
  if (!(variance > 0)) return 1;
  return upperTail((wins - (n * m) / 2 - 0.5) / Math.sqrt(variance));
}

/** P(Z > z) of the standard normal distribution. */
export function upperTail(z: number): number {
  return (1 - errorFunction(z / Math.SQRT2)) / 2;
}

/**
 * Exact bounds of a quantile, each one-sided, by order statistics (W. J. Conover, "Practical Nonparametric Statistics", 3.2):
 * the value at a rank so high, or so low, that the quantile is beyond it only with probability `alpha`. In milliseconds,
 * interpolated inside their buckets.
 */
export function quantileBounds(latency: number[], share: number, alpha: number): { lower: number; upper: number } {
  const n = total(latency);
  const at = (rank: number) => latencyQuantile({ latency }, Math.min(Math.max(rank, 0), n) / n) ?? 0;
  // The first rank with P(X >= rank) <= alpha: ranks count from 1.
  const upper = 1 + first(n, (rank) => atLeast(rank + 1, n, share) <= alpha);
  // The last rank with P(X < rank) <= alpha.
  const lower = first(n, (rank) => atMost(rank, n, share) > alpha);
  return { lower: at(lower), upper: at(upper) };
}

/** The first of the numbers up to `end` for which it is true; from there on it stays true. */
function first(end: number, isTrue: (candidate: number) => boolean): number {
  let [low, high] = [0, end];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
