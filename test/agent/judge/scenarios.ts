import type { Scenario, Traffic } from "./simulate.ts";

const usual: Traffic = { rate: 20, errors: 0.001, median: 80 };

/** All of the traffic moves; the old release is counted in the five minutes before. */
function cutover(name: string, before: Partial<Traffic>, after: Partial<Traffic>, seconds = 30): Scenario {
  const old = { ...usual, ...before };
  return { name, before: old, after: { ...old, ...after }, seconds };
}

/** A canary: the two share the requests of `rate`. */
function canary(name: string, percent: number, after: Partial<Traffic>, { rate = 20, seconds = 60 } = {}): Scenario {
  const share = (part: number): Traffic => ({ ...usual, rate: (rate * part) / 100 });
  return { name, before: share(100 - percent), after: { ...share(percent), ...after }, seconds, beside: true };
}

/** Releases that are no worse: at most one of a hundred may be taken back. */
export const equal: Scenario[] = [
  cutover("equal", {}, {}),
  cutover("equal, no errors at all", { errors: 0 }, {}),
  cutover("equal, 1 % of errors", { errors: 0.01 }, {}),
  cutover("equal, 5 % of errors", { errors: 0.05 }, {}),
  cutover("equal, 30 % of errors", { errors: 0.3 }, {}),
  cutover("equal, 2 requests/s", { rate: 2, errors: 0.01 }, {}),
  cutover("equal, 200 requests/s", { rate: 200, errors: 0.01 }, {}),
  cutover("equal, watched for 5 minutes", { errors: 0.01 }, {}, 300),
  cutover("equal, 1 % of errors in threes", { errors: 0.01, burst: 3 }, {}),
  cutover("equal, 2 % of errors in fives", { errors: 0.02, burst: 5 }, {}),
  cutover("better: no more errors, half the time", { errors: 0.05 }, { errors: 0, median: 40 }),
  canary("equal, a canary of 25 %", 25, { errors: 0.001 }),
];

/** Releases that fail visitors: at least 99 of a hundred must be taken back. */
export const worse: Scenario[] = [
  cutover("5 % more errors", {}, { errors: 0.051 }),
  cutover("5 % more errors, none before", { errors: 0 }, { errors: 0.05 }),
  cutover("5 % more errors, 1 % before", { errors: 0.01 }, { errors: 0.06 }),
  cutover("every request fails", {}, { errors: 1 }),
  cutover("three times as slow", {}, { median: 240 }),
];

/** What is hard to see: told, and not promised. */
export const hard: Scenario[] = [
  cutover("5 % more errors, 5 % before", { errors: 0.05 }, { errors: 0.1 }),
  cutover("5 % more errors, in threes", { burst: 3 }, { errors: 0.051 }),
  cutover("2 % more errors", {}, { errors: 0.021 }),
  cutover("0.5 % more errors, which is below the limit", {}, { errors: 0.006 }),
  cutover("5 % more errors, 2 requests/s", { rate: 2 }, { errors: 0.051 }),
  cutover("5 % more errors, 0.5 requests/s", { rate: 0.5 }, { errors: 0.051 }),
  cutover("1.5 times as slow, which is below the limit", {}, { median: 120 }),
  canary("5 % more errors, a canary of 50 % for a minute", 50, { errors: 0.051 }),
  canary("5 % more errors, a canary of 5 % for a minute", 5, { errors: 0.051 }),
];
