import { logChoose, sumOfTerms } from "./binomial.ts";

/** So many of so many. */
export interface Share {
  count: number;
  of: number;
}

/**
 * Fisher's exact test of two shares, one-sided (R. A. Fisher, "The Design of Experiments", 1935): if both come from the same
 * source, how probable is it that the first has at least so many of what both have together? The upper tail of the
 * hypergeometric distribution; R's `fisher.test(alternative = "greater")`.
 */
export function exactTest(first: Share, second: Share): number {
  const all = first.of + second.of;
  const hits = first.count + second.count;
  const most = Math.min(first.of, hits);
  // Below the mean the answer is no evidence, and from there the sum would have many terms.
  if (first.count * second.of <= second.count * first.of) return 1;
  const log = logChoose(first.of, first.count) + logChoose(second.of, second.count) - logChoose(all, hits);
  return sumOfTerms(log, {
    count: most - first.count,
    at: (index) => {
      const k = first.count + index;
      return ((hits - k) / (k + 1)) * ((first.of - k) / (second.of - hits + k + 1));
    },
  });
}
