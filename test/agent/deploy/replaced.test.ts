import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { loadState } from "../../../agent/deploy/state-format.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";

/** What the torture found: the agent is killed while a new deployment takes the place of what is staged. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Promise<{ deployment: string }>): Promise<DeploymentView> {
  return agent.settled((await accepted).deployment, 10_000, call.signal);
}

/** v1 is live and v2 its canary. */
async function besideCanary(host: FakeHost): Promise<Deployments> {
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  await ended(agent, agent.deploy("shop", host.request(v2, {}, { activate: false })));
  await ended(agent, agent.activate("shop", v2, { ...call, weight: 25 }));
  return agent;
}

/** v2 is live and v1 still warm. */
async function besideWarm(host: FakeHost): Promise<Deployments> {
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  await ended(agent, agent.deploy("shop", host.request(v2, { keep_warm: "10m" })));
  return agent;
}

/** The agent is killed right after an effect of deploying v3. */
async function killedAfter(effect: string, prepare: typeof besideWarm): Promise<FakeHost> {
  const host = new FakeHost();
  const before = await prepare(host);
  const after = new FakeHost();
  const killed = new Promise<void>((resolve) => {
    host.onEffect = (name) => {
      if (name !== effect) return;
      Object.assign(after.disk, structuredClone(host.disk));
      resolve();
    };
  });
  const third = ended(before, before.deploy("shop", host.request(v3))).catch(() => undefined);
  await killed;
  await third;
  return after;
}

test.each([`slots.swap ${v1}:60`, "publish canary null", `programs.remove ${v2}`, `release.remove ${v2}`])(
  "killed after %s: what was being replaced is gone, and the live release has all of the traffic",
  async (effect) => {
    const host = await killedAfter(effect, besideCanary);
    const agent = agentOn(host);
    await agent.recoverAll();
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: null });
    expect([...host.disk.programs]).toEqual([v1]);
    expect([...host.disk.releases.keys()]).toEqual([v1]);
    expect(host.disk.slots).toBe(`${v1}:60`);
    expect(host.disk.links).toMatchObject({ current: v1, canary: null, staged: null });
    expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
  },
);

test("killed while it retires what was warm: that is gone to the end, and a rollback starts it anew", async () => {
  const host = await killedAfter(`programs.remove ${v1}`, besideWarm);
  const agent = agentOn(host);
  await agent.recoverAll();
  expect(await loadState(host.ports.states, "shop")).toMatchObject({ live: v2, warm: null });
  expect([...host.disk.programs]).toEqual([v2]);
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
});
