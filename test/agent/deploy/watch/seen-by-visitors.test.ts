import { pino } from "pino";
import { expect, test } from "vitest";
import type { Requests, RunCounts } from "../../../../agent/contracts/requests.ts";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";
import { runCounts } from "../../../fakes/request-counts.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;

/** Deploys v1, then v2. @param runs what was counted at the end of v2's watch, by the length of the window */
async function deployed(runs: (window: "since" | "before") => RunCounts[], gap?: string) {
  const host = new FakeHost();
  const requests: Requests = {
    read: async () => {},
    totals: () => ({}),
    latest: () => ({}),
    counted: (_app, { from, to }) => ({
      ...{ from, to: to ?? from, readUntil: from, runs: runs(to === undefined ? "since" : "before") },
      ...(gap !== undefined && { gap }),
    }),
  };
  const agent = new Deployments({ ports: { ...host.ports, requests }, log: pino({ level: "silent" }) });
  await agent.settled((await agent.deploy("shop", host.request(v1))).deployment, 10_000, never);
  const view = await agent.settled((await agent.deploy("shop", host.request(v2))).deployment, 10_000, never);
  const events = host.disk.events.get(view.id) ?? [];
  const notices = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  return { view, agent, said: notices.filter((text) => text.includes("new release")) };
}

test("a deploy says what visitors saw of the new release, and of the one before", async () => {
  const { view, said, agent } = await deployed((window) =>
    window === "since"
      ? [runCounts(v2, 1204, { ms: 84 }), runCounts(v1, 3), runCounts(null, 9)]
      : [runCounts(v1, 2000, { failed: 2, ms: 60 })],
  );
  expect(view.outcome).toBe("succeeded");
  expect(said).toEqual(["1,204 requests by the new release: 0.0 % 5xx, p95 99 ms; before: 0.1 %, 69 ms"]);
  expect(view.requests).toMatchObject({ requests: 1204, failed: 0, before: { requests: 2000, failed: 2 } });
  const { requests } = await agent.app("shop");
  expect(requests?.runs.map(({ role, requests: all }) => [role, all])).toEqual([
    ["live", 1204],
    ["old", 3],
    ["none", 9],
  ]);
});

test("without a visitor it says nothing, and what may be missing it says so", async () => {
  const quiet = await deployed(() => [runCounts(null, 3)]);
  expect([quiet.said, quiet.view.requests]).toEqual([[], undefined]);
  const torn = await deployed(() => [runCounts(v2, 1, { failed: 1 })], "the disk was full");
  expect(torn.said).toEqual([
    "1 request by the new release: 100.0 % 5xx, p95 9.8 ms (some may be missing: the disk was full)",
  ]);
  expect(torn.view).toMatchObject({ outcome: "succeeded" });
  expect(torn.view.requests).toBe(undefined);
});
