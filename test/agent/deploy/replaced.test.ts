import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../fakes/ports.ts";

/** What the torture found: the agent is killed while a new deployment takes the place of what is staged. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

/** v1 is live and v2 its canary; the agent is killed right after an effect of deploying v3. */
async function killedAfter(effect: string): Promise<FakeHost> {
  const host = new FakeHost();
  const before = agentOn(host);
  const ended = async (accepted: Promise<{ deployment: string }>) =>
    before.settled((await accepted).deployment, 10_000, call.signal);
  await ended(before.deploy("shop", host.request(v1)));
  await ended(before.deploy("shop", host.request(v2, {}, { activate: false })));
  await ended(before.activate("shop", v2, { ...call, weight: 25 }));
  const after = new FakeHost();
  const killed = new Promise<void>((resolve) => {
    host.onEffect = (name) => {
      if (name !== effect) return;
      Object.assign(after.disk, structuredClone(host.disk));
      resolve();
    };
  });
  const third = ended(before.deploy("shop", host.request(v3))).catch(() => undefined);
  await killed;
  await third;
  return after;
}

test.each([`slots.swap ${v1}:60`, "publish canary null", `programs.remove ${v2}`, `release.remove ${v2}`])(
  "killed after %s: what was being replaced is gone, and the live release has all of the traffic",
  async (effect) => {
    const host = await killedAfter(effect);
    const agent = agentOn(host);
    await agent.recoverAll();
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: null });
    expect([...host.disk.programs]).toEqual([v1]);
    expect([...host.disk.releases.keys()]).toEqual([v1]);
    expect(host.disk.slots).toBe(`${v1}:60`);
    expect(host.disk.links).toMatchObject({ current: v1, canary: null, staged: null });
    const next = await agent.deploy("shop", host.request(v3));
    expect(await agent.settled(next.deployment, 10_000, call.signal)).toMatchObject({ outcome: "succeeded" });
  },
);
