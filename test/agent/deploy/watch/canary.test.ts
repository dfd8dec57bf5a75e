import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };
const stage = { activate: false };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  const { deployment } = await accepted;
  return agent.settled(deployment, 10_000, new AbortController().signal);
}

/** v1 is live and v2 staged. */
async function staged(settings: object = {}, leaseMs = 0) {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  const { id } = await ended(agent, agent.deploy("shop", host.request(v2, settings, { ...stage, leaseMs })));
  const weigh = (weight: number) => ended(agent, agent.activate("shop", v2, { ...call, weight }));
  return { host, agent, id, weigh };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CutoverError);
  return (thrown as CutoverError).code;
}

test("a canary's weight rises by slots alone, and at 100 it is live", async () => {
  const { host, agent, weigh } = await staged();
  for (const [weight, slots] of [
    [1, 1],
    [5, 3],
    [25, 15],
    [50, 30],
    [99, 59],
  ] as const) {
    expect(await weigh(weight)).toMatchObject({ outcome: "succeeded", weight });
    expect(host.disk.slots).toBe(`${v1}:${60 - slots} ${v2}:${slots}`);
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2, weight });
  }
  expect(host.disk.links).toMatchObject({ current: v1, canary: v2, staged: v2 });
  expect(await weigh(100)).toMatchObject({ outcome: "succeeded" });
  expect(host.disk.slots).toBe(`${v2}:60`);
  expect(host.disk.links).toMatchObject({ current: v2, previous: v1, canary: null, staged: null });
  expect(await agent.app("shop")).toMatchObject({ live: v2, staged: null, weight: 0 });
});

test("an abort gives a canary's traffic back, drains it, and then stops it", async () => {
  const { host, agent, id, weigh } = await staged({ drain: { timeout: "999999d" } });
  await weigh(25);
  const socket = `unix:${v2}/web-0.sock`;
  host.connections.set(socket, 1);
  host.effects.length = 0;
  host.onEffect = (effect) => {
    if (effect.startsWith("slots.swap")) setTimeout(() => host.connections.delete(socket), 20);
  };
  expect(await agent.abort(id)).toMatchObject({ outcome: "aborted" });
  expect(host.effects).toEqual([
    `slots.swap ${v1}:60`,
    "publish canary null",
    "publish staged null",
    `programs.remove ${v2}`,
    `release.remove ${v2}`,
  ]);
  expect(host.connections.size).toBe(0);
  expect(await agent.app("shop")).toMatchObject({ live: v1, staged: null, weight: 0 });
});

test("a canary that fails its checks goes back by itself, and its deployment says why", async () => {
  const { host, agent, id, weigh } = await staged();
  await weigh(50);
  host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
  while ((await agent.deployment(id)).outcome !== "failed") await sleep(5);
  const { failure } = await agent.deployment(id);
  expect(failure).toMatchObject({ code: "canary_failed", detail: expect.stringContaining("answered 500 to GET /") });
  expect(failure?.evidence).not.toEqual([]);
  await expect.poll(() => [host.disk.slots, ...host.disk.programs]).toEqual([`${v1}:60`, v1]);
});

test("a restarted instance of a canary counts as a failure", async () => {
  const { host, agent, id, weigh } = await staged();
  await weigh(50);
  await sleep(20);
  host.pids.set(v2, 900);
  while ((await agent.deployment(id)).outcome !== "failed") await sleep(5);
  expect((await agent.deployment(id)).failure?.detail).toContain("was restarted");
  await expect.poll(() => host.disk.slots).toBe(`${v1}:60`);
});

test.each([
  [
    "nothing is live",
    async (agent: Deployments, host: FakeHost) => {
      await ended(agent, agent.deploy("shop", host.request(v1, {}, stage)));
      return v1;
    },
  ],
  [
    "it is the live release",
    async (agent: Deployments, host: FakeHost) => {
      await ended(agent, agent.deploy("shop", host.request(v1)));
      return v1;
    },
  ],
  [
    "it was live before",
    async (agent: Deployments, host: FakeHost) => {
      for (const release of [v1, v2]) await ended(agent, agent.deploy("shop", host.request(release)));
      return v1;
    },
  ],
  [
    "it speaks another protocol",
    async (agent: Deployments, host: FakeHost) => {
      await ended(agent, agent.deploy("shop", host.request(v1)));
      const uwsgi = { server: { kind: "uwsgi", app: "shop.wsgi:application" } };
      await ended(agent, agent.deploy("shop", host.request(v2, uwsgi, stage)));
      return v2;
    },
  ],
])("a release is no canary when %s", async (what, prepare) => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const release = await prepare(agent, host);
  const before = host.disk.slots;
  const view = await ended(agent, agent.activate("shop", release, { ...call, weight: 25 }));
  const fix = expect.stringMatching(what === "nothing is live" ? /without `canary`/ : /^(?:Stage|Activate) it/);
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "canary_impossible", fix } });
  expect(host.disk.slots).toBe(before);
});

test("another deploy takes the place of a canary, and its requests are not cut", async () => {
  const { host, agent, weigh } = await staged();
  await weigh(50);
  expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
  expect(host.disk.slots).toBe(`${v3}:60`);
  const moves = host.effects.filter((effect) => effect.startsWith("slots") || effect === `programs.remove ${v2}`);
  expect(moves.slice(-3)).toEqual([`slots.swap ${v1}:60`, `programs.remove ${v2}`, `slots.swap ${v3}:60`]);
});

test("between the steps a canary's job keeps the app", async () => {
  const { host, agent, id, weigh } = await staged({}, 5000);
  await weigh(25);
  expect(await codeOf(agent.deploy("shop", host.request(v3)))).toBe("deployment_in_progress");
  await weigh(50);
  expect(await codeOf(agent.rollback("shop", call))).toBe("deployment_in_progress");
  expect(await agent.abort(id)).toMatchObject({ outcome: "aborted" });
  expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
});

test("a restart of the agent leaves a canary its part, and goes on watching it", async () => {
  const { host, agent, id, weigh } = await staged();
  await weigh(25);
  await agent.close();
  const next = agentOn(host);
  await next.recoverAll();
  expect(host.disk.slots).toBe(`${v1}:45 ${v2}:15`);
  expect(await next.app("shop")).toMatchObject({ live: v1, staged: v2, weight: 25 });
  host.programStates.set(v2, "FATAL");
  // The deployment has failed before its traffic is back.
  await vi.waitFor(() => expect(host.disk.slots).toBe(`${v1}:60`));
  expect(await next.deployment(id)).toMatchObject({ outcome: "failed" });
});

test("a nginx that refuses a step leaves the canary the share that it had", async () => {
  const { host, agent, weigh } = await staged();
  await weigh(5);
  host.failing.set(`slots.swap ${v1}:45 ${v2}:15`, new CutoverError("nginx_config_broken", "refused"));
  expect(await weigh(25)).toMatchObject({ outcome: "failed", failure: { code: "nginx_config_broken" } });
  expect(host.disk.slots).toBe(`${v1}:57 ${v2}:3`);
  expect(host.disk.links).toMatchObject({ canary: v2, staged: v2 });
  expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2, weight: 5 });
  host.failing.clear();
  expect(await weigh(25)).toMatchObject({ outcome: "succeeded" });
});

test("a cutover that nginx refuses is undone, also its static files", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  host.failing.set(`slots.swap ${v2}:60`, new CutoverError("nginx_config_broken", "refused"));
  const view = await ended(agent, agent.deploy("shop", host.request(v2)));
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "nginx_config_broken" } });
  expect(host.disk.links).toMatchObject({ current: v1 });
  expect([...host.disk.programs]).toEqual([v1]);
  expect([...host.disk.releases.keys()]).toEqual([v1]);
});

test("no slot counts for both releases, also if traffic moves while the view is made", async () => {
  const { host, weigh } = await staged();
  await weigh(50);
  const { ports } = host;
  const { count } = ports.connections;
  // Between the look at the live run and the one at the canary.
  vi.spyOn(ports.connections, "count").mockImplementation((addresses) => {
    if (addresses.some((address) => address.includes(v2))) host.disk.slots = `${v2}:60`;
    return count(addresses);
  });
  const { instances } = await new Deployments({ ports, log: pino({ level: "silent" }) }).app("shop");
  expect(host.disk.slots).toBe(`${v2}:60`);
  expect(instances.reduce((sum, { slots }) => sum + slots, 0)).toBe(60);
});
