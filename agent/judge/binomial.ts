import { gammaln } from "simple-statistics";

/** Exact tails of the binomial distribution, and what follows from them. */

/** A next term that adds less than this to the sum is the last. */
const negligible = 1e-17;

export function logChoose(n: number, k: number): number {
  return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1);
}

/**
 * The sum of probabilities from one on, each the one before times a ratio.
 * @param log of the first
 * @param ratios how many follow at most, and their factors; they fall at last
 */
export function sumOfTerms(log: number, ratios: { count: number; at(index: number): number }): number {
  let sum = 1;
  let term = 1;
  for (let index = 0; index < ratios.count; index++) {
    const ratio = ratios.at(index);
    term *= ratio;
    sum += term;
    if (ratio < 1 && term < sum * negligible) break;
  }
  // The sum can be too large for a number only if the first term is as small.
  return Math.min(1, Math.exp(log + Math.log(sum)));
}

/** P(X >= k) of n draws that each succeed with probability p. */
export function atLeast(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n || p <= 0) return 0;
  if (p >= 1) return 1;
  // The sum begins at its largest term: from the other side it would lose its digits.
  if (k < n * p) return 1 - atLeast(n - k + 1, n, 1 - p);
  const log = logChoose(n, k) + k * Math.log(p) + (n - k) * Math.log1p(-p);
  const odds = p / (1 - p);
  return sumOfTerms(log, { count: n - k, at: (index) => ((n - k - index) / (k + index + 1)) * odds });
}

/** P(X <= k). */
export function atMost(k: number, n: number, p: number): number {
  return atLeast(n - k, n, 1 - p);
}

const halvings = 60;

/**
 * The exact lower bound of a share, one-sided (C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
 * illustrated in the case of the binomial", 1934): below it, k or more of n would be rarer than `alpha`.
 */
export function lowerBound(k: number, n: number, alpha: number): number {
  let [low, high] = [0, k / n];
  for (let turn = 0; turn < halvings && k > 0; turn++) {
    const middle = (low + high) / 2;
    if (atLeast(k, n, middle) < alpha) low = middle;
    else high = middle;
  }
  return low;
}

/** The exact upper bound of a share: above it, k or fewer of n would be rarer than `alpha`. */
export function upperBound(k: number, n: number, alpha: number): number {
  return 1 - lowerBound(n - k, n, alpha);
}
