import { expect, test } from "vitest";
import { latencyBounds } from "../../../agent/contracts/requests.ts";
import { atLeast, lowerBound, upperBound } from "../../../agent/judge/binomial.ts";
import { exactTest } from "../../../agent/judge/exact-test.ts";
import { quantileBounds, rankTest, upperTail } from "../../../agent/judge/rank-test.ts";

/** Values that the documentation of R and scipy prints, and others from scipy 1.10.1. */

const near = (value: number, digits = 9) => ({
  asymmetricMatch: (got: number) => Math.abs(got - value) <= Math.abs(value) * 10 ** -digits,
});

test.each([
  // R, ?fisher.test: Fisher's tea drinker, p = 0.2429; criminal twins, p = 0.0004652.
  [3, 4, 1, 4, 0.24285714285714283],
  [15, 18, 2, 12, 0.00046518094336290503],
  // scipy.stats.fisher_exact([[8, 2], [1, 5]], alternative="greater").
  [8, 10, 1, 6, 0.024475524475524483],
  [5, 50, 0, 6000, 3.141985368189701e-11],
  [36, 600, 60, 6000, 2.049457156744624e-14],
  [12, 600, 9, 6000, 3.911152935199206e-8],
  [4000, 10_000, 3800, 10_000, 0.0019566145162794326],
])("Fisher's exact test: %i of %i against %i of %i", (count, of, others, ofOthers, p) => {
  expect(exactTest({ count, of }, { count: others, of: ofOthers })).toEqual(near(p));
});

test("the exact test of a busy site", () => {
  const p = exactTest({ count: 700, of: 600_000 }, { count: 5000, of: 6_000_000 });
  expect(p).toEqual(near(7.269796863342478e-16, 6));
});

test("a share that is not larger is no evidence, and neither is nothing", () => {
  expect(exactTest({ count: 0, of: 600 }, { count: 0, of: 6000 })).toBe(1);
  expect(exactTest({ count: 6, of: 600 }, { count: 60, of: 6000 })).toBe(1);
  expect(exactTest({ count: 0, of: 0 }, { count: 0, of: 0 })).toBe(1);
  expect(rankTest([0, 0], [0, 0])).toBe(1);
  expect(rankTest([0, 9], [0, 50])).toBe(1);
});

test.each([
  // scipy.stats.binomtest(3, 15, 0.1, alternative="greater").
  [3, 15, 0.1, 0.18406106910639106],
  [30, 600, 0.01, 1.5896190459838347e-12],
  [1, 1000, 0.0001, 0.09516710644145374],
  [590, 600, 0.95, 1.568216998236566e-5],
  [5200, 10_000, 0.5, 3.296757799336171e-5],
])("at least %i of %i with %d each", (k, n, p, tail) => {
  expect(atLeast(k, n, p)).toEqual(near(tail));
});

test.each([
  // scipy.stats.binomtest(7, 50).proportion_ci(); R, ?binom.test: Mendel's 682 of 925, 0.7076683 to 0.7654066.
  [7, 50, 0.025, 0.0581917003403721, 0.2673960024970084],
  [682, 925, 0.025, 0.7076682640790388, 0.7654065582415253],
  [0, 1000, 0.001, 0, 0.006883951579066227],
  [12, 600, 1e-5, 0.004098471446725387, 0.056248132584770155],
])("Clopper and Pearson's bounds of %i of %i", (k, n, alpha, lower, upper) => {
  expect(lowerBound(k, n, alpha)).toEqual(near(lower));
  expect(upperBound(k, n, alpha)).toEqual(near(upper));
});

/** How often each value comes, for values up to `most`. */
const histogram = (values: number[], most: number) =>
  Array.from({ length: most + 1 }, (_, value) => values.filter((each) => each === value).length);

test("Mann and Whitney's test: R's wilcox.test of the ozone in May and August, with ties", () => {
  const may = [41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115, 37];
  const august = [
    39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118, 84, 85,
  ];
  // R prints the two-sided 0.0001208.
  expect(rankTest(histogram(august, 168), histogram(may, 168))).toEqual(near(0.00012080783076877434 / 2, 6));
});

test.each([
  // scipy.stats.mannwhitneyu: males and females of its page, 0.11134688653314041 two-sided.
  [histogram([19, 22, 16, 29, 24], 29), histogram([20, 11, 17, 12], 29), 0.055673443266570206],
  [[5, 10, 20, 10, 5], [50, 120, 180, 90, 30], 0.17644825784067325],
  [[1, 2, 3], [3, 2, 1], 0.10215260456035657],
])("Mann and Whitney's test: %j against %j", (first, second, p) => {
  expect(rankTest(first, second)).toEqual(near(p, 6));
});

test("the rank test has no smallest answer but that of the numbers", () => {
  expect(rankTest([0, 3, 40, 80, 27], [100, 900, 3000, 1500, 500])).toBeLessThan(1e-15);
  expect(upperTail(2.3263478740408408)).toEqual(near(0.01, 6));
  expect(upperTail(4)).toEqual(near(3.167124183311986e-5, 6));
  expect(upperTail(6)).toEqual(near(9.865876450376946e-10, 6));
  expect(upperTail(-1)).toEqual(near(1 - 0.15865525393145707, 6));
});

test.each([
  // The ranks by scipy.stats.binom.
  [50, 0.5, 0.025, 18, 33],
  [600, 0.95, 1e-3, 552, 586],
  [1000, 0.5, 1e-4, 441, 560],
])("order statistics: of %i values the quantile %d", (n, share, alpha, lower, upper) => {
  // All in the bucket from 100 to 150 ms, where a rank is a place between the two.
  const latency = latencyBounds.map((bound) => (bound === 150 ? n : 0));
  const at = (rank: number) => 100 + (50 * rank) / n;
  expect(quantileBounds(latency, share, alpha)).toEqual({ lower: near(at(lower)), upper: near(at(upper)) });
});
