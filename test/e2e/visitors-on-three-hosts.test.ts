import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fault, quickShop } from "../fixtures/shop.ts";
import type { ActionResult } from "../harness/action.ts";
import { freePortRange } from "../harness/ports.ts";
import type { Load } from "../load/load.ts";
import { startLoadProcess } from "../load/process.ts";
import type { LoadReport } from "../load/report.ts";
import { lineSeen } from "./bad-host.ts";
import { resultOf } from "./bad-result.ts";
import { Fleet, siteName, versionOf } from "./hosts.ts";

/**
 * Each host has 20 requests a second, whatever the answers do: most take 150 ms, and one of twenty asks for the page on which a
 * bad release fails. Each has a connection of its own: from ports to sockets nginx reloads, and a kept connection may meet that
 * (agent/host/README.md#sockets-or-ports).
 */
const visitors = { host: siteName, rate: 20, fresh: 1, shares: { slow: 0.85, get: 0.1, page: 0.05 }, slowMs: 150 };

/**
 * A release that its visitors take back is taken back by a watch of half a minute, or it is not taken back at all: so no test
 * looks at a clock, and that the job fails with `visitors_failed` says that it took less.
 */
const watch = "30s";

/** Threads enough for a release that is three times as slow. */
const server = { ...quickShop.server, threads: 12 };

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start(3, { shop: { ...quickShop, server, watch, keep_warm: "0s" } });
  for (const { agent } of fleet.hosts) {
    await agent.changeAppSettings("shop", { ports: await freePortRange(8) });
    // nginx and supervisord go on without the agent.
    await agent.startAsOnHost("games");
  }
  await fleet.deploy({ version: "v1", config: { watch: "0s" } });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

/** Visitors of all hosts while something happens; before it, long enough to compare with. */
async function visited<T>(work: () => Promise<T>): Promise<{ done: T; reports: LoadReport[] }> {
  const loads: Load[] = [];
  try {
    for (const [seed, { site }] of fleet.hosts.entries()) {
      loads.push(await startLoadProcess({ ...visitors, url: site, seed: seed + 1 }));
    }
    while (loads.some((load) => load.snapshot().ok < 150)) await sleep(200);
    const done = await work();
    return { done, reports: await Promise.all(loads.map((load) => load.stop())) };
  } finally {
    await Promise.all(loads.map((load) => load[Symbol.asyncDispose]()));
  }
}

const versions = () => Promise.all(fleet.hosts.map(async ({ site }) => (await versionOf(site)).version));

const views = () => Promise.all(fleet.hosts.map(({ agent }) => agent.appView()));

/** What visitors did not get, by page and reason. */
function failuresOf(reports: LoadReport[]): string[] {
  return [...new Set(reports.flatMap(({ failures }) => failures.map(({ kind, reason }) => `${kind}: ${reason}`)))];
}

/** The summary writes some characters as numbers. */
const plain = (summary: string) =>
  summary.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));

/** No host keeps the release, and the job says why in its log, its one annotation and its summary. */
function expectTakenBack(result: ActionResult, says: RegExp): void {
  const { exitCode, stdout, annotations, summary } = result;
  expect(exitCode, stdout).toBe(1);
  const hosts = Object.values(resultOf(result));
  for (const { outcome, error } of hosts) {
    if (outcome === "failed") expect(error?.code).toBe("visitors_failed");
    else expect(["rolled_back", "aborted"]).toContain(outcome);
  }
  expect(hosts.some(({ outcome }) => outcome === "failed")).toBe(true);
  expect(annotations.length).toBeGreaterThan(0);
  for (const { level, title, message } of annotations) {
    expect(`${level} ${title}`).toMatch(/^error .*: visitors_failed$/);
    expect(message).toMatch(says);
  }
  expect(plain(summary)).toMatch(says);
  expect(stdout).toMatch(says);
}

/** @returns each host's live release, for `expectAsBefore` */
const liveReleases = async () => (await views()).map(({ live }) => live);

async function expectAsBefore(live: (string | null)[]): Promise<void> {
  expect(await liveReleases()).toEqual(live);
  await expect.poll(views).toEqual(live.map(() => expect.objectContaining({ staged: null, weight: 0, warm: null })));
}

async function deploy(
  options: { version: string; fault?: Fault; config?: object },
  inputs: Record<string, string> = {},
  onLine?: (line: string) => void,
): Promise<ActionResult> {
  await fleet.checkout(options);
  return fleet.action(inputs, {}, onLine);
}

test("one that fails 5 % of its requests, on one page, leaves all hosts, also if all agents end in the middle: sockets", async () => {
  const live = await liveReleases();
  let watched = 0;
  const all = Promise.withResolvers<void>();
  const onLine = (line: string) => {
    if (line.includes(`is watched for ${watch}`) && ++watched === fleet.hosts.length) all.resolve();
  };
  const { done, reports } = await visited(async () => {
    let isOver = false;
    const job = deploy({ version: "v2", fault: "one-page-fails" }, {}, onLine).finally(() => {
      isOver = true;
      all.resolve();
    });
    await all.promise;
    await Promise.all(fleet.hosts.map(({ agent }, index) => (index === 0 ? agent.kill() : agent.end())));
    expect(isOver).toBe(false);
    await Promise.all(fleet.hosts.map(({ agent }) => agent.startAgain()));
    return job;
  });
  expectTakenBack(
    done,
    /\d\.\d % of \d+ requests of its visitors answered 5xx; before: 0\.0 % of [\d,]+\. Most of them: \/env/,
  );
  expect(done.stdout).toContain("RuntimeError: The till is empty");
  await expectAsBefore(live);
  expect(await versions()).toEqual(["v1", "v1", "v1"]);
  // Nobody else lost a request to it, nor to the way back.
  expect(failuresOf(reports)).toEqual(["page: status 500"]);
});

test("one that is three times as slow leaves all hosts: uwsgi", async () => {
  const live = await liveReleases();
  const config = { server: { ...server, kind: "uwsgi" as const } };
  const { done, reports } = await visited(() => deploy({ version: "v3", fault: "three-times-as-slow", config }));
  expectTakenBack(
    done,
    /its visitors waited too long in \d+ requests: p50 \d+ ms, p95 \d+ ms; before: p50 \d+ ms, p95 \d+ ms/,
  );
  await expectAsBefore(live);
  expect(await versions()).toEqual(["v1", "v1", "v1"]);
  expect(failuresOf(reports)).toEqual([]);
});

test("one that is as good stays on all hosts, and the summary compares it: ports", async () => {
  const config = { server: { ...server, bind: "port" as const }, watch: "10s" };
  const { done, reports } = await visited(() => deploy({ version: "v4", config }));
  const { exitCode, stdout, summary } = done;
  expect(exitCode, stdout).toBe(0);
  const said = stdout.match(/is judged by its visitors, and (?:not found|no) worse: 0\.0 % of \d+ requests/g);
  expect(said).toHaveLength(3);
  const compared = plain(summary).match(/\d+ requests by the new release: 0\.0 % 5xx, p95 \d+ ms; before: 0\.0 %/g);
  expect(compared).toHaveLength(3);
  expect(await versions()).toEqual(["v4", "v4", "v4"]);
  expect(failuresOf(reports)).toEqual([]);
});

test("a canary that fails on one page leaves all hosts while the job waits, beside a live release that does not", async () => {
  const live = await liveReleases();
  const { onLine, seen } = lineSeen("has 50 % of the traffic");
  const { done, reports } = await visited(async () => {
    const job = deploy({ version: "v5", fault: "one-page-fails" }, { canary: "50@2m, 100" }, onLine);
    await Promise.race([seen, job]);
    // An agent that was away judges by what comes after its start.
    await fleet.hosts[1]?.agent.kill();
    await fleet.hosts[1]?.agent.startAgain();
    return job;
  });
  expectTakenBack(
    done,
    /The canary \S+ failed its visitors: \d+\.\d % of \d+ requests .*; the live release at the same time: 0\.0 % of \d+/,
  );
  await expectAsBefore(live);
  expect(await versions()).toEqual(["v4", "v4", "v4"]);
  expect(failuresOf(reports)).toEqual(["page: status 500"]);
});

test("a better one becomes live on all hosts, in steps by evidence", async () => {
  const config = { watch: "10s" };
  const { done, reports } = await visited(() =>
    deploy({ version: "v6", fault: "quicker", config }, { canary: "auto@4s" }),
  );
  const { exitCode, stdout } = done;
  expect(exitCode, stdout).toBe(0);
  expect(stdout.match(/is judged by its visitors, and (?:not found|no) worse/g)?.length).toBeGreaterThanOrEqual(3);
  expect(await versions()).toEqual(["v6", "v6", "v6"]);
  expect(failuresOf(reports)).toEqual([]);
});
