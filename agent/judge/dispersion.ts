/** So much is believed of a short time in which much failed: beyond it nothing could be found any more. */
const most = 10;

/**
 * How many failures come together: the variance of their number in windows of the same length, divided by its mean. 1 if each
 * comes by itself; 3 if they come in threes. Failures that come together are fewer events than they seem, so tests that
 * count each of them see too much in them (J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary
 * data", 1992: both numbers of a share are divided by this).
 */
export function dispersionOf(failures: readonly number[]): number {
  const mean = failures.reduce((sum, count) => sum + count, 0) / failures.length;
  if (failures.length < 2 || mean === 0) return 1;
  const squares = failures.reduce((sum, count) => sum + (count - mean) ** 2, 0);
  return Math.min(most, Math.max(1, squares / (failures.length - 1) / mean));
}
