import { describe, expect, it } from "vitest";
import type { ReportedState } from "../../shared/deployment-states.ts";
import type { DeploymentEvent } from "../../shared/protocol.ts";
import { summary as deploySummary } from "./deploy.ts";
import { parseStatus } from "./memory.ts";
import { renderMarkdown, renderText, time } from "./table.ts";
import { median, medianPhases, phaseEnds, phasesFrom, reachedAt } from "./timeline.ts";
import { trafficFigures } from "./traffic.ts";
import { summary as unpackSummary } from "./unpack.ts";
import { workerFigures } from "./worker.ts";

const epoch = Date.parse("2026-11-21T10:00:00.000Z");

function state(name: ReportedState, at: number): DeploymentEvent {
  return { id: 1, at: new Date(epoch + at).toISOString(), type: "state", state: name, took: 0 };
}

const log = [
  { at: epoch + 280, line: "wheels (30ms)" },
  { at: epoch + 400, line: "manifest (110ms)" },
  { at: epoch + 900, line: "pack (500ms)" },
  { at: epoch + 1500, line: "127.0.0.1:7070: upload (600ms): 1 MB" },
];
const stage = [state("verified", 950), state("unpacked", 1450), state("built", 1600), state("healthy", 2700)];
const activate = [state("healthy", 2800), state("cut_over", 2850)];

describe("a deploy's phases", () => {
  const phases = phasesFrom(epoch, phaseEnds(log, stage, activate));

  it("follow each other without a gap, so that together they are the whole", () => {
    expect(phases.reduce((sum, { ms }) => sum + ms, 0)).toBe(2850);
    expect(phases.map(({ ms }) => ms)).toEqual([250, 30, 120, 500, 50, 500, 150, 1100, 150]);
  });

  it("leave out what the deploy did not do", () => {
    expect(phases.map(({ name }) => name)).not.toContain("collectstatic");
    expect(phases.map(({ name }) => name)).not.toContain("release command");
  });

  it("know a state by the deployment that reached it", () => {
    expect(reachedAt(stage, "cut_over")).toBeUndefined();
    expect(reachedAt(activate, "cut_over")).toBe(epoch + 2850);
  });
});

describe("medians", () => {
  it("take the middle, or the mean of the two in the middle", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([7])).toBe(7);
    expect(median([])).toBeNaN();
  });

  it("are taken of each phase by its name", () => {
    const rounds = [
      [
        { name: "pack", ms: 10 },
        { name: "build", ms: 1 },
      ],
      [{ name: "pack", ms: 30 }],
      [
        { name: "pack", ms: 20 },
        { name: "build", ms: 3 },
      ],
    ];
    expect(medianPhases(rounds)).toEqual([
      { name: "pack", ms: 20 },
      { name: "build", ms: 2 },
    ]);
  });

  it("of the overhead are of the differences, deploy by deploy", () => {
    const rounds = [
      { total: 3000, boot: 1000, phases: [] },
      { total: 9000, boot: 7500, phases: [] },
      { total: 2600, boot: 900, phases: [] },
    ];
    expect(deploySummary(rounds)).toMatchObject({ total: 3000, boot: 1000, overhead: 1700 });
  });
});

it("the unpacking's ratio is of one run, and its memory the most of all over idle", () => {
  const rounds = [
    { agent: 6, tar: 2, sums: 2, peak: 100, anonymousPeak: 60 },
    { agent: 4, tar: 1, sums: 3, peak: 130, anonymousPeak: 50 },
    { agent: 5, tar: 1, sums: 1, peak: 90, anonymousPeak: 40 },
  ];
  expect(unpackSummary(rounds, { rss: 80, anonymous: 30 })).toEqual({
    agent: 5,
    tar: 1,
    sums: 2,
    ratio: 1.5,
    peakOverIdle: 50,
    anonymousPeakOverIdle: 30,
  });
});

it("quick requests count to what went on when they were due", () => {
  const nothing = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };
  const kind = { sent: 0, ok: 0, failed: 0, latency: nothing };
  const none = { at: [], ms: [] };
  const samples = {
    get: { at: [10, 150, 160, 250, 400], ms: [1, 5, 7, 9, 2] },
    post: none,
    slow: none,
    upload: none,
    page: none,
  };
  const failure = { at: 5, time: "", kind: "post", connection: "kept", reason: "ECONNRESET" } as const;
  const figures = trafficFigures(
    {
      started: epoch,
      elapsedMs: 500,
      rate: 300,
      sent: 6,
      ok: 5,
      failed: 1,
      kinds: { get: kind, post: kind, slow: kind, upload: kind, page: kind },
      failures: [failure],
      versions: [],
      lag: nothing,
      samples,
    },
    [{ begun: epoch + 100, reachedHost: epoch + 200, ended: epoch + 300, cut: 2 }],
  );
  expect(figures.quiet).toMatchObject({ count: 2, max: 2 });
  expect(figures.runner).toMatchObject({ count: 2, max: 7 });
  expect(figures.host).toMatchObject({ count: 1, max: 9 });
  expect(figures).toMatchObject({ sent: 6, failed: 1, cut: 2, reasons: { "post, kept: ECONNRESET": 1 } });
});

it("a job's wait counts to what went on when it was sent", () => {
  const report = {
    sent: 3,
    refused: ["9: answered 502"],
    lost: [2],
    cut: [],
    twice: [1],
    waits: [
      { at: 50, ms: 4 },
      { at: 150, ms: 900 },
    ],
    beats: [
      { pid: 1, from: 0, to: 100 },
      { pid: 2, from: 90, to: 200 },
    ],
    longestTickGap: 1200,
  };
  expect(workerFigures(report, [{ from: 100, to: 300 }])).toMatchObject({
    refused: 1,
    lost: 1,
    cut: 0,
    twice: 1,
    longestWait: { between: 4, during: 900 },
    deploy: 200,
    beatsTogether: 1,
  });
});

it("reads memory from the kernel's text", () => {
  const text = "Name:\tnode\nVmHWM:\t  103000 kB\nVmRSS:\t   80000 kB\nRssAnon:\t   30000 kB\n";
  expect(parseStatus(text)).toEqual({ rss: 80_000 * 1024, anonymous: 30_000 * 1024, peak: 103_000 * 1024 });
  expect(() => parseStatus("Name:\tnode\n")).toThrow("VmRSS");
});

describe("tables", () => {
  const table = {
    title: "Deploy",
    head: ["phase", "time"],
    rows: [
      ["pack", "9 ms"],
      ["a|b", "1.20 s"],
    ],
    notes: ["Twice."],
  };

  it("line figures up to the right in the terminal", () => {
    expect(renderText(table)).toBe(
      ["Deploy", "", "  phase    time", "  -----  ------", "  pack     9 ms", "  a|b    1.20 s", "  Twice."].join("\n"),
    );
  });

  it("are Markdown for test/README.md", () => {
    expect(renderMarkdown(table)).toBe(
      "**Deploy**\n\n| phase | time |\n| --- | ---: |\n| pack | 9 ms |\n| a\\|b | 1.20 s |\n\nTwice.",
    );
  });

  it("write times as a person reads them", () => {
    expect([4.25, 42.4, 999.4, 1500, -20].map(time)).toEqual(["4.3 ms", "42 ms", "999 ms", "1.50 s", "-20 ms"]);
  });
});
