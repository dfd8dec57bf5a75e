import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { latencyBounds, latencyBucket } from "../../../agent/contracts/requests.ts";
import type { Comparison, Observed } from "../../../agent/judge/compare.ts";
import { dispersionOf } from "../../../agent/judge/dispersion.ts";
import { limitsOf } from "../../../agent/judge/limits.ts";
import { ReleaseJudge, type Verdict } from "../../../agent/judge/release-judge.ts";
import { compared, whyWorse } from "../../../agent/judge/words.ts";
import { configSchema } from "../../../shared/config.ts";
import { equal, hard, worse } from "./scenarios.ts";
import { simulate } from "./simulate.ts";

const limits = { errors: 0.01, latency: 2, alpha: 0.01, requests: 50 };

/** @param times how many answers took so many milliseconds */
function observed(requests: number, failed: number, times: Record<number, number> = { 80: requests }): Observed {
  const latency = [...latencyBounds, 0].map(() => 0);
  for (const [ms, count] of Object.entries(times)) latency[latencyBucket(Number(ms))] = count;
  return { requests, failed, latency };
}

const calm = observed(6000, 6);

function against(baseline: Observed, candidate: Observed, dispersion = 1): Comparison {
  return { candidate, baseline, dispersion };
}

/** What the last of these looks says. */
function lastOf(looks: Comparison[], judge = new ReleaseJudge(limits, { looks: 15 })): Verdict {
  const verdicts = looks.map((look) => judge.look(look));
  const last = verdicts.at(-1);
  if (last === undefined) throw new Error("no look");
  return last;
}

describe("a release", () => {
  it("whose requests fail is worse, with the numbers", () => {
    const verdict = lastOf([against(calm, observed(300, 15)), against(calm, observed(600, 31))]);
    expect(verdict).toMatchObject({ kind: "worse", by: "errors" });
    if (verdict.kind !== "worse") return;
    expect(whyWorse(verdict, "before")).toBe(
      "5.2 % of 600 requests of its visitors answered 5xx; before: 0.1 % of 6,000",
    );
  });

  it("that is three times as slow is worse", () => {
    const verdict = lastOf([against(calm, observed(300, 0, { 240: 300 }))]);
    expect(verdict).toMatchObject({ kind: "worse", by: "latency" });
    if (verdict.kind !== "worse") return;
    expect(whyWorse(verdict, "before")).toBe(
      "its visitors waited too long in 300 requests: p50 250 ms, p95 295 ms; before: p50 85 ms, p95 99 ms",
    );
  });

  it("of which only the slowest tenth became slower is worse, too", () => {
    const before = observed(6000, 0, { 80: 5400, 200: 600 });
    const after = observed(600, 0, { 80: 400, 200: 100, 1500: 100 });
    expect(lastOf([against(before, after)])).toMatchObject({ kind: "worse", by: "latency" });
  });

  it("that is slower by less than anybody notices is not", () => {
    expect(lastOf([against(observed(6000, 0, { 2: 6000 }), observed(600, 0, { 10: 600 }))]).kind).not.toBe("worse");
  });

  it("that fails less is well, and so is one that is quicker", () => {
    const bad = observed(6000, 300);
    const verdict = lastOf([against(bad, observed(600, 0, { 20: 600 }))]);
    expect(verdict.kind).toBe("well");
    expect(compared(verdict.comparison, "before")).toBe(
      "0.0 % of 600 requests answered 5xx, p95 20 ms; before: 5.0 % of 6,000 requests answered 5xx, p95 99 ms",
    );
  });

  it("is not judged by fewer than 50 requests, on either side", () => {
    expect(lastOf([against(calm, observed(40, 20)), against(calm, observed(49, 25))]).kind).toBe("few");
    const few = observed(49, 0);
    expect(lastOf([against(few, observed(300, 150)), against(few, observed(600, 300))]).kind).toBe("few");
  });

  it("is not worse because of four failures, or of failures in a single moment", () => {
    expect(lastOf([against(calm, observed(50, 3)), against(calm, observed(60, 4))]).kind).toBe("open");
    const moment = [against(calm, observed(100, 30)), against(calm, observed(140, 30))];
    expect(lastOf(moment).kind).toBe("open");
    expect(lastOf([...moment, against(calm, observed(180, 31))]).kind).toBe("worse");
  });

  it("is not worse by less than the limit, however certain that is", () => {
    const before = observed(600_000, 600);
    const slightly = [observed(300_000, 2700), observed(600_000, 5400)].map((after) => against(before, after));
    expect(lastOf(slightly).kind).not.toBe("worse");
  });

  it("that begins to fail late is found in the last part of a long watch", () => {
    const judge = new ReleaseJudge(limits, { looks: 900 });
    const recent = (failed: number) => against(calm, observed(1200, failed));
    expect(judge.look(against(calm, observed(30_000, 30)), recent(1)).kind).not.toBe("worse");
    const verdicts = [30, 60].map((failed) =>
      judge.look(against(calm, observed(30_000 + failed * 20, 30 + failed)), recent(failed)),
    );
    expect(verdicts.at(-1)).toMatchObject({ kind: "worse", by: "errors", comparison: recent(60) });
  });
});

test("failures that come together count for fewer", () => {
  expect(dispersionOf([1, 0, 2, 1, 0, 1])).toBe(1);
  expect(dispersionOf([0, 0, 0])).toBe(1);
  expect(dispersionOf([3, 0, 0, 6, 3, 0])).toBeGreaterThan(2.5);
  expect(dispersionOf([0, 0, 500, 0])).toBe(10);
  const before = observed(6000, 60);
  const looks = [observed(300, 12), observed(600, 24)];
  expect(lastOf(looks.map((after) => against(before, after))).kind).toBe("worse");
  expect(lastOf(looks.map((after) => against(before, after, 3))).kind).toBe("open");
});

test("a look that sees nothing new finds nothing, and more looks than planned neither", () => {
  const bad = against(calm, observed(600, 31));
  const judge = new ReleaseJudge(limits, { looks: 1 });
  expect(judge.look(against(calm, observed(300, 0))).kind).not.toBe("worse");
  expect(lastOf([against(calm, observed(400, 10)), bad], judge).kind).toBe("open");
});

test("the limits of cutover.yml", () => {
  const parsed = (judge: unknown) =>
    configSchema.parse({ app: "shop", server: { kind: "gunicorn", app: "a:b" }, judge });
  expect(limitsOf(parsed(undefined))).toEqual({ ...limits, alpha: expect.closeTo(0.01) });
  expect(limitsOf(parsed("off"))).toBeUndefined();
  const own = { errors: "0.5%", latency: "1.5x", confidence: "99.9%", requests: 200 };
  expect(limitsOf(parsed(own))).toEqual({ errors: 0.005, latency: 1.5, alpha: expect.closeTo(0.001), requests: 200 });
});

test.each([
  ["errors", "0%"],
  ["errors", "101%"],
  ["errors", 1],
  ["latency", "1x"],
  ["latency", "2"],
  ["confidence", "100%"],
  ["confidence", "9%"],
  ["requests", 5],
])("%s: %s is refused", (key, value) => {
  const config = { app: "shop", server: { kind: "gunicorn", app: "a:b" }, judge: { [key]: value } };
  expect(configSchema.safeParse(config).success).toBe(false);
});

/** The whole table, with 10,000 deployments a row, is that of the judge's page. */
describe("over many deployments", () => {
  const small = { deployments: 200, seed: 17 };

  it.each(
    equal.filter(({ before, seconds }) => before.rate <= 20 && seconds <= 60).map((each) => [each.name, each] as const),
  )("%s: at most one of a hundred is taken back", (_name, scenario) => {
    expect(simulate(scenario, small).takenBack.length).toBeLessThanOrEqual(2);
  });

  it.each(worse.map((each) => [each.name, each] as const))(
    "%s: 99 of a hundred are taken back in time",
    (_name, scenario) => {
      const { takenBack } = simulate(scenario, small);
      expect(takenBack.length).toBeGreaterThanOrEqual(198);
      expect(Math.max(...takenBack)).toBeLessThanOrEqual(30);
    },
  );
});

test("the judge's page has the table of these scenarios, and what it promises stands there", () => {
  const rows = readFileSync("agent/judge/README.md", "utf8").matchAll(/^\| ([^|]+) \| [\d.]+ \| ([\d.]+) % \|/gm);
  const taken = new Map([...rows].map(([, name = "", percent]) => [name, Number(percent)]));
  expect([...taken.keys()]).toEqual([...equal, ...worse, ...hard].map(({ name }) => name));
  for (const { name } of equal) expect(taken.get(name), name).toBeLessThanOrEqual(1);
  for (const { name } of worse) expect(taken.get(name), name).toBeGreaterThanOrEqual(99);
});
