import { expect, test } from "vitest";
import { LoadRecord } from "../load/record.ts";
import type { FailedRequest, LoadReport } from "../load/report.ts";
import { failureLines } from "./failures.ts";

function report(reasons: string[], lagMs = 1): LoadReport {
  const failures = reasons.map((reason, index): FailedRequest => {
    return { at: index, time: `2026-11-27T10:00:0${index}.000Z`, kind: "page", connection: "kept", reason };
  });
  const { lag, ...rest } = new LoadRecord(300).report();
  return { ...rest, failed: reasons.length, failures, lag: { ...lag, p99: lagMs } };
}

test("nothing is said if nothing failed, or only what the demo breaks itself", () => {
  expect(failureLines([report([]), report([])], () => false)).toEqual([]);
  expect(failureLines([report(["status 500"], 5000)], ({ reason }) => reason === "status 500")).toEqual([]);
});

test("failures are told by reason, the most frequent first, with their times", () => {
  expect(failureLines([report(["status 502", "timeout", "timeout"])], () => false)).toEqual([
    "2 x page: timeout, from 2026-11-27T10:00:01.000Z to 2026-11-27T10:00:02.000Z",
    "1 x page: status 502, at 2026-11-27T10:00:00.000Z",
  ]);
});

test("a machine that sent the requests late is named, with what to do", () => {
  const lines = failureLines([report(["timeout"], 1900), report([], 2)], () => false);
  expect(lines.slice(1)).toEqual([
    "This machine is too busy for the demo: it sent 1 % of the requests more than 1.9 s late.",
    "Stop what else runs on it, then run `npm run demo` again.",
  ]);
});
