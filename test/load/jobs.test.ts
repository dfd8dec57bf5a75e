import { expect, test } from "vitest";
import { beatsTogether, type JournalLine, longestWaits, reportJobs } from "./jobs.ts";

const line = (at: number, what: string, pid: number, job?: number): JournalLine => ({
  at,
  what,
  pid,
  release: "r",
  ...(job !== undefined && { job }),
});

test("what became of each job is told apart", () => {
  const sent = [1, 2, 3, 4].map((job) => ({ job, at: job * 100 }));
  const lines = [
    line(110, "begin", 7, 1),
    line(120, "end", 7, 1),
    line(250, "begin", 7, 2),
    line(450, "begin", 7, 4),
    line(460, "end", 7, 4),
    line(470, "begin", 8, 4),
    line(480, "end", 8, 4),
  ];
  const report = reportJobs(sent, [], lines);
  expect(report).toMatchObject({ sent: 4, lost: [3], cut: [2], twice: [4] });
  expect(report.waits).toEqual([
    { at: 100, ms: 10 },
    { at: 200, ms: 50 },
    { at: 400, ms: 50 },
  ]);
  expect(longestWaits(report.waits, [{ from: 150, to: 300 }])).toEqual({ during: 50, between: 50 });
});

test("two beats at once are seen, and one after the other is not", () => {
  const lines = [
    line(100, "beat-begin", 1),
    line(200, "beat-tick", 1),
    line(1300, "beat-end", 1),
    line(1400, "beat-begin", 2),
    line(1500, "beat-tick", 2),
  ];
  const { beats, longestTickGap } = reportJobs([], [], lines);
  expect(beats).toEqual([
    { pid: 1, from: 100, to: 1300 },
    { pid: 2, from: 1400, to: 1500 },
  ]);
  expect(longestTickGap).toBe(1300);
  expect(beatsTogether(beats)).toEqual([]);
  expect(beatsTogether([...beats, { pid: 3, from: 1450, to: 1460 }])).toHaveLength(1);
});
