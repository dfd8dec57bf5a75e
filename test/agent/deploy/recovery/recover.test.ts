import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { AppState } from "../../../../agent/deploy/state.ts";
import { loadState } from "../../../../agent/deploy/state-format.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import { FakeHost } from "../../../fakes/ports.ts";
import { eventually } from "../../host/scratch.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

/** A host whose agent was killed right after the named effect: that agent's later writes go to a disk nobody reads. */
async function killedAfter(effect: string): Promise<{ host: FakeHost; deployment: string }> {
  const host = new FakeHost();
  const before = agentOn(host);
  const first = await before.deploy("shop", host.request(v1, { keep_warm: "0s" }));
  await before.settled(first.deployment, 10_000, never);
  const after = new FakeHost();
  const killed = new Promise<void>((resolve) => {
    host.onEffect = (name) => {
      if (name !== effect) return;
      Object.assign(after.disk, structuredClone(host.disk));
      resolve();
    };
  });
  const second = before.deploy("shop", host.request(v2, { keep_warm: "0s" })).catch(() => undefined);
  await killed;
  await second;
  const journal = JSON.parse(after.disk.state.get("shop") ?? "{}").journal;
  return { host: after, deployment: journal.deployment.id };
}

test.each([`release.unpack ${v2}`, `environment.build ${v2}`, `programs.start ${v2}`])(
  "killed after %s: the deployment is undone at the next start, and the next deploy works",
  async (effect) => {
    const { host, deployment } = await killedAfter(effect);
    const agent = agentOn(host);
    await agent.recoverAll();
    expect(await agent.deployment(deployment)).toMatchObject({
      outcome: "failed",
      failure: { code: "agent_stopping" },
    });
    expect([...host.disk.programs]).toEqual([v1]);
    expect([...host.disk.releases.keys()]).toEqual([v1]);
    expect(host.disk.slots).toBe(`${v1}:60`);
    const again = await agent.deploy("shop", host.request(v2));
    expect(await agent.settled(again.deployment, 10_000, never)).toMatchObject({ outcome: "succeeded" });
  },
);

test.each([`publish ${v2} after ${v1}`, `slots.swap ${v2}:60`, `programs.remove ${v1}`])(
  "killed after %s: the deployment is finished at the next start",
  async (effect) => {
    const { host, deployment } = await killedAfter(effect);
    const agent = agentOn(host);
    await agent.recoverAll();
    expect(await agent.deployment(deployment)).toMatchObject({ outcome: "succeeded" });
    expect([...host.disk.programs]).toEqual([v2]);
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect(await agent.app("shop")).toMatchObject({ live: v2, previous: v1 });
  },
);

test("a second start changes nothing", async () => {
  const { host } = await killedAfter(`programs.start ${v2}`);
  await agentOn(host).recoverAll();
  host.effects.length = 0;
  const state = host.disk.state.get("shop");
  await agentOn(host).recoverAll();
  expect(host.effects).toEqual([]);
  expect(host.disk.state.get("shop")).toBe(state);
});

test("events go on with the next number after a restart", async () => {
  const { host, deployment } = await killedAfter(`slots.swap ${v2}:60`);
  const agent = agentOn(host);
  await agent.recoverAll();
  const ids: number[] = [];
  for await (const event of agent.events(deployment, 0, never)) ids.push(event.id);
  expect(ids).toEqual(ids.map((_, index) => index + 1));
});

test("what held an app goes in one write with its deployment, so that a kill right after it holds nothing", async () => {
  const { host } = await killedAfter(`programs.start ${v2}`);
  host.failing.set(`programs.remove ${v2}`, new Error("supervisord is down"));
  for (let start = 0; start < 3; start++) await agentOn(host).recoverAll();
  expect((await loadState(host.ports.states, "shop")).held).not.toBeNull();
  host.failing.clear();
  const saved: AppState[] = [];
  const save = async (app: string, state: object) => {
    saved.push(structuredClone(state as AppState));
    await host.ports.states.save(app, state);
  };
  const ports = { ...host.ports, states: { ...host.ports.states, save } };
  await new Deployments({ ports, log: pino({ level: "silent" }) }).recoverAll();
  expect(saved.at(-1)).toMatchObject({ journal: null, held: null });
  expect(saved.filter(({ journal, held }) => journal === null && held !== null)).toEqual([]);
});

test("an app that can be neither finished nor undone is held after three starts, and says why", async () => {
  const { host } = await killedAfter(`programs.start ${v2}`);
  host.failing.set(`programs.remove ${v2}`, new Error("supervisord is down"));
  for (let start = 0; start < 3; start++) await agentOn(host).recoverAll();
  const agent = agentOn(host);
  const refused = await agent.deploy("shop", host.request(v2)).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "app_held" });
  host.failing.clear();
  await agent.recoverAll();
  const again = await agent.deploy("shop", host.request(v2));
  expect(await agent.settled(again.deployment, 10_000, never)).toMatchObject({ outcome: "succeeded" });
});

test("a deployment that is undone at a later start keeps the reason for which it failed", async () => {
  const { host } = await killedAfter(`slots.swap ${v2}:60`);
  const v3 = "20261121T100200Z-3333333";
  const agent = agentOn(host);
  await agent.recoverAll();
  const reason = new CutoverError("instance_died", "web-0 ended.");
  host.failing.set(`programs.start ${v3}`, reason).set(`programs.remove ${v3}`, new Error("supervisord is down"));
  const { deployment } = await agent.deploy("shop", host.request(v3));
  await agent.settled(deployment, 10_000, never);
  expect(host.disk.releases.has(v3)).toBe(true);
  const notices: string[] = [];
  for await (const event of agent.events(deployment, 0, never)) {
    if (event.type === "notice") notices.push(event.message);
  }
  expect(notices.at(-1)).toMatch(/^not undone to the end yet: supervisord is down\. The agent does the rest /);
  host.failing.clear();
  const next = agentOn(host);
  await next.recoverAll();
  expect(host.disk.releases.has(v3)).toBe(false);
  expect(await next.deployment(deployment)).toMatchObject({ outcome: "failed", failure: { code: "instance_died" } });
});

test("a deployment that is finished at a later start has no failure any more", async () => {
  const { host } = await killedAfter(`slots.swap ${v2}:60`);
  const v3 = "20261121T100200Z-3333333";
  const agent = agentOn(host);
  await agent.recoverAll();
  host.failing.set(`programs.remove ${v2}`, new Error("supervisord is down"));
  const { deployment } = await agent.deploy("shop", host.request(v3, { keep_warm: "0s" }));
  expect(await agent.settled(deployment, 10_000, never)).toMatchObject({ outcome: "failed" });
  host.failing.clear();
  const next = agentOn(host);
  await next.recoverAll();
  const view = await next.deployment(deployment);
  expect(view.outcome).toBe("succeeded");
  expect(view).not.toHaveProperty("failure");
});

test("an undo removes nothing while the file says that the traffic is about to move: a start would finish that", async () => {
  const { host } = await killedAfter(`release.unpack ${v2}`);
  await agentOn(host).recoverAll();
  const { states, ...ports } = host.ports;
  // The disk is full from the intent on, and nginx takes nothing either.
  let full = false;
  const save = async (app: string, state: object) => {
    if (full) throw new Error("ENOSPC");
    await states.save(app, state);
    full = (state as AppState).journal?.deployment.state === "cutting_over";
  };
  host.failing.set(`slots.swap ${v2}:60`, new Error("ENOSPC"));
  const agent = new Deployments({ ports: { ...ports, states: { ...states, save } }, log: pino({ level: "silent" }) });
  const { deployment } = await agent.deploy("shop", host.request(v2, { keep_warm: "0s" }));
  expect(await agent.settled(deployment, 10_000, never)).toMatchObject({ outcome: "failed" });
  expect([...host.disk.programs]).toEqual([v1, v2]);
  expect([...host.disk.releases.keys()]).toEqual([v1, v2]);
  host.failing.clear();
  // That agent was killed.
  const left = new FakeHost();
  Object.assign(left.disk, structuredClone(host.disk));
  await agent.close();
  const next = agentOn(left);
  await next.recoverAll();
  expect(await next.app("shop")).toMatchObject({ live: v2 });
  expect((await loadState(left.ports.states, "shop")).journal).toBeNull();
});

test("an app whose settings file comes back after the start is recovered then", async () => {
  const { host, deployment } = await killedAfter(`programs.start ${v2}`);
  host.apps = [];
  const agent = agentOn(host);
  await agent.recoverAll();
  expect((await loadState(host.ports.states, "shop")).journal).not.toBeNull();
  host.apps = ["shop"];
  // Other waits move this clock.
  for (let waits = 0; waits < 3; waits++) await host.ports.clock.sleep(5000);
  await eventually(async () => (await loadState(host.ports.states, "shop")).journal === null);
  expect(await agent.deployment(deployment)).toMatchObject({ outcome: "failed", failure: { code: "agent_stopping" } });
  expect([...host.disk.programs]).toEqual([v1]);
  await agent.close();
});
