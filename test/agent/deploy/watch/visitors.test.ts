import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";
import { FakeVisitors } from "../../../fakes/requests.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };
const minutes = 60_000;

interface Site {
  host: FakeHost;
  agent: Deployments;
  visitors: FakeVisitors;
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, never);
}

/**
 * v1 is live, and has had 20 requests a second for ten minutes.
 * @param text of the log of each run
 */
async function busySite(rate = 20, text?: string): Promise<Site> {
  const host = new FakeHost();
  const tail = text === undefined ? host.ports.logs.tail : async () => [{ source: "web-0", text }];
  const ports = { ...host.ports, logs: { ...host.ports.logs, tail } };
  const visitors = new FakeVisitors(() => ports.clock.now());
  const agent = new Deployments({ ports: { ...ports, requests: visitors }, log: pino({ level: "silent" }) });
  await ended(agent, agent.deploy("shop", host.request(v1, { watch: "0s" })));
  visitors.rate = rate;
  visitors.errors.set(v1, 0.001);
  visitors.moved(`slots.swap ${v1}:60`, ports.clock.now() - 10 * minutes);
  host.onEffect = (effect) => visitors.moved(effect);
  host.effects.length = 0;
  return { host, agent, visitors };
}

/** A deploy of v2, and how long it was watched in seconds. */
async function deployed({ host, agent }: Site, settings: object = {}): Promise<DeploymentView & { watched: number }> {
  const view = await ended(agent, agent.deploy("shop", host.request(v2, settings)));
  const moved = view.phases.find(({ state }) => state === "cut_over");
  expect(moved).toBeDefined();
  return { ...view, watched: (Date.parse(view.finished ?? "") - Date.parse(view.started)) / 1000 };
}

function notices(host: FakeHost, { id }: DeploymentView): string[] {
  return (host.disk.events.get(id) ?? []).flatMap((event) => (event.type === "notice" ? [event.message] : []));
}

describe("after a cutover", () => {
  test("a release whose visitors get errors is taken back, with the numbers and the paths", async () => {
    const site = await busySite();
    site.visitors.errors.set(v2, 0.05);
    const view = await deployed(site);
    expect(view).toMatchObject({
      outcome: "failed",
      failure: {
        code: "visitors_failed",
        detail: expect.stringMatching(
          /^\S+ failed after the cutover: \d\.\d % of \d+ requests of its visitors answered 5xx; before: 0\.1 % of 6,000\. Most of them: \/checkout\.$/,
        ),
        unchanged: `All traffic went back to ${v1}, which was still warm.`,
        evidence: expect.arrayContaining([
          { source: "paths that answered 5xx", text: expect.stringMatching(/^\d+ \/checkout$/) },
          { source: "web-0", text: `log of web-0 of ${v2}` },
        ]),
      },
    });
    expect(view.watched).toBeLessThan(30);
    expect(site.host.disk.slots).toBe(`${v1}:60`);
    expect(await site.agent.app("shop")).toMatchObject({ live: v1, warm: null });
  });

  test("with what the release's log says of it", async () => {
    const file = `/var/lib/cutover/apps/shop/releases/${v2}/app/shop/views.py`;
    const raised = `Traceback (most recent call last):\n  File "${file}", line 12, in checkout\n    total = cart["total"]\n`;
    const site = await busySite(20, `${raised}KeyError: 'total'\n`);
    site.visitors.errors.set(v2, 0.05);
    expect((await deployed(site)).failure).toMatchObject({
      detail: expect.stringMatching(/Most of them: \/checkout: KeyError: 'total' \(shop\/views\.py:12\)\.$/),
      fix: "Correct shop/views.py, line 12, and deploy again.",
    });
  });

  test("so is one that is three times as slow", async () => {
    const site = await busySite();
    site.visitors.latency.set(v2, 240);
    expect(await deployed(site)).toMatchObject({
      failure: {
        code: "visitors_failed",
        detail: expect.stringMatching(/waited too long in \d+ requests: p50 \d+ ms/),
      },
    });
    expect(site.host.disk.slots).toBe(`${v1}:60`);
  });

  test("one that is as good stays, and the deployment says what was seen", async () => {
    const site = await busySite();
    site.visitors.errors.set(v2, 0.001);
    const view = await deployed(site);
    expect(view).toMatchObject({ outcome: "succeeded" });
    expect(notices(site.host, view)).toContainEqual(
      expect.stringMatching(
        /is judged by its visitors, and not found worse: 0\.\d % of 6\d\d requests answered 5xx, p95 99 ms; before: 0\.1 %/,
      ),
    );
    expect(view.watched).toBeGreaterThanOrEqual(30);
  });

  test("on a busy site the watch of a release that is well ends early, and never before its instances were seen", async () => {
    const site = await busySite(500);
    const view = await deployed(site);
    expect(view).toMatchObject({ outcome: "succeeded" });
    expect(view.watched).toBeGreaterThanOrEqual(10);
    expect(view.watched).toBeLessThan(20);
    expect(notices(site.host, view)).toContainEqual(expect.stringMatching(/^the watch ends after 1\ds/));
  });

  test.each([
    [
      "too few requests",
      { rate: 1 },
      {},
      /is not judged by its visitors: it had \d+ requests in 30s, and 50 are needed/,
    ],
    ["no requests", { rate: 0 }, {}, /is not judged by its visitors: nginx has written no line/],
    ["lines that were lost", { gap: "the disk was full" }, {}, /is not judged by its visitors: the disk was full$/],
    ["`judge: off`", {}, { judge: "off" }, undefined],
    ["more requests needed", {}, { judge: { requests: 1000 } }, /it had \d+ requests in 30s, and 1,000 are needed/],
  ])("%s: nothing is judged, that is said, and the release stays", async (_what, traffic, settings, said) => {
    const site = await busySite();
    Object.assign(site.visitors, traffic);
    site.visitors.errors.set(v2, 1);
    const view = await deployed(site, settings);
    expect(view).toMatchObject({ outcome: "succeeded" });
    const told = notices(site.host, view).filter((notice) => notice.includes("its visitors"));
    expect(told).toEqual(said === undefined ? [] : [expect.stringMatching(said)]);
    expect(site.host.disk.slots).toBe(`${v2}:60`);
  });

  test("lines that are lost during the watch end the judging", async () => {
    const site = await busySite();
    site.visitors.errors.set(v2, 1);
    const { onEffect } = site.host;
    site.host.onEffect = (effect) => {
      onEffect(effect);
      if (effect === `slots.swap ${v2}:60`) site.visitors.gap = "somebody removed nginx's file";
    };
    expect(await deployed(site)).toMatchObject({ outcome: "succeeded" });
  });

  test("a rollback is not judged", async () => {
    const site = await busySite();
    expect(await deployed(site)).toMatchObject({ outcome: "succeeded" });
    site.visitors.errors.set(v1, 1);
    expect(await ended(site.agent, site.agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded" });
  });

  test("without a release that could have the traffic, the one that fails keeps it", async () => {
    const site = await busySite();
    site.visitors.errors.set(v2, 1);
    const { onEffect } = site.host;
    site.host.onEffect = (effect) => {
      onEffect(effect);
      if (effect === `slots.swap ${v2}:60`) site.host.answers.set(v1, { kind: "unreachable", reason: "gone" });
    };
    const view = await deployed(site);
    expect(view).toMatchObject({
      failure: { code: "visitors_failed", unchanged: expect.stringContaining("keeps the traffic") },
    });
    expect(site.host.disk.slots).toBe(`${v2}:60`);
  });
});

describe("a canary", () => {
  async function canary(site: Site, weight: number, settings: object = {}) {
    const { host, agent } = site;
    const { id } = await ended(agent, agent.deploy("shop", host.request(v2, settings, { activate: false })));
    await ended(agent, agent.activate("shop", v2, { ...call, weight }));
    return id;
  }

  async function judgedAs(agent: Deployments, id: string, verdict: string, weight = 50): Promise<DeploymentView> {
    for (;;) {
      const view = await agent.deployment(id);
      if (view.canary?.verdict === verdict && view.canary.weight === weight) return view;
      expect(view.outcome).toBe("staged");
      await sleep(2);
    }
  }

  test("whose visitors get errors goes back by itself, and its deployment says why", async () => {
    const site = await busySite();
    site.visitors.errors.set(v2, 0.2);
    const id = await canary(site, 50);
    while ((await site.agent.deployment(id)).outcome !== "failed") await sleep(2);
    expect((await site.agent.deployment(id)).failure).toMatchObject({
      code: "visitors_failed",
      detail: expect.stringMatching(
        /The canary \S+ failed its visitors: 20\.\d % of \d+ requests .*; the live release at the same time: 0\.\d % of \d+/,
      ),
    });
    await expect.poll(() => [site.host.disk.slots, ...site.host.disk.programs]).toEqual([`${v1}:60`, v1]);
  });

  test("that fails as much as the live release at the same time is not taken back", async () => {
    const site = await busySite(500);
    site.visitors.errors.set(v1, 0.2);
    site.visitors.errors.set(v2, 0.2);
    const id = await canary(site, 50, { judge: { errors: "5%" } });
    const { canary: seen } = await judgedAs(site.agent, id, "well");
    expect(seen).toMatchObject({
      weight: 50,
      said: expect.stringContaining("the live release at the same time: 20.0 %"),
    });
    await site.agent.abort(id);
  });

  test("needs less evidence for a small share of the traffic, and is counted again for the next", async () => {
    const site = await busySite(500);
    const id = await canary(site, 5);
    await judgedAs(site.agent, id, "well", 5);
    await ended(site.agent, site.agent.activate("shop", v2, { ...call, weight: 50 }));
    await judgedAs(site.agent, id, "well", 50);
    await site.agent.abort(id);
  });

  test("is not judged with `judge: off`, or by too few requests, and says so", async () => {
    const off = await busySite();
    const id = await canary(off, 50, { judge: "off" });
    expect((await judgedAs(off.agent, id, "unjudged")).canary?.said).toContain("nothing is judged");
    await off.agent.abort(id);
    const quiet = await busySite(1);
    const other = await canary(quiet, 5, { judge: { requests: 1_000_000 } });
    const said = async () => (await quiet.agent.deployment(other)).canary;
    await expect.poll(said).toMatchObject({
      ...{ weight: 5, verdict: "few" },
      said: expect.stringMatching(/it had \d+ requests in \d+s, and 1,000,000 are needed/),
    });
    await quiet.agent.abort(other);
  });
});
