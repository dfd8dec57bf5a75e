import { describe, expect, test, vi } from "vitest";
import { CutoverError } from "../../../shared/errors.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { agentOn, call, ended, full, never, sick, staged, stateOf, v1, v2, v3 } from "./two-at-once.ts";

/** Faults that need two things at once. Each has the number that it has in the field report of the core. */

describe("C1: a way back that is delayed", () => {
  /** v2 failed its watch, and the traffic cannot go back to v1 as long as the disk is full. */
  async function delayed() {
    const host = new FakeHost();
    const agent = agentOn(host);
    await ended(agent, agent.deploy("shop", host.request(v1)));
    host.onEffect = (effect) => {
      if (effect !== `slots.swap ${v2}:60`) return;
      host.answers.set(v2, sick);
      host.failing.set(`slots.swap ${v1}:60`, full());
    };
    const view = await ended(agent, agent.deploy("shop", host.request(v2)));
    return { host, agent, view };
  }

  test("does not say that the traffic went back", async () => {
    const { host, view } = await delayed();
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
    expect(view.failure?.unchanged).toContain(`could not go back to ${v1} yet`);
    expect(view.failure?.unchanged).toContain(`Visitors still reach ${v2}`);
  });

  test("keeps the warm run for as long as the journal is open", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { host } = await delayed();
      host.clockOff = 3_600_000;
      await vi.advanceTimersByTimeAsync(3_600_000);
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
      expect((await stateOf(host)).journal?.verdict?.back).toBe(true);
      expect([...host.disk.programs]).toContain(v1);
      // One that was retired would be started again by the next attempt.
      expect(
        host.effects.filter((effect) => effect.endsWith(` ${v1}`) && /programs\.(remove|start)/.test(effect)),
      ).toEqual([`programs.start ${v1}`]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("starts the run before again when it is gone by then", async () => {
    const { host, agent } = await delayed();
    await agent.close();
    host.disk.programs.delete(v1);
    host.failing.clear();
    await agentOn(host).recoverAll();
    expect(host.disk.slots).toBe(`${v1}:60`);
    expect([...host.disk.programs]).toEqual([v1]);
    expect(await stateOf(host)).toMatchObject({ live: v1, journal: null, held: null });
  });

  test("keeps the traffic where it is when the run before cannot serve any more", async () => {
    const { host, agent } = await delayed();
    await agent.close();
    host.disk.programs.delete(v1);
    host.failing.clear();
    host.answers.set(v1, sick);
    const next = agentOn(host);
    await next.recoverAll();
    expect(host.disk.slots).toBe(`${v2}:60`);
    expect([...host.disk.programs]).toEqual([v2]);
    const { live, journal, history } = await stateOf(host);
    expect({ live, journal }).toEqual({ live: v2, journal: null });
    expect(history[0]?.failure?.unchanged).toContain(`${v2} keeps the traffic`);
    host.answers.clear();
    expect(await ended(next, next.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "succeeded" });
  });
});

test("C4: a cutover whose traffic has moved is finished by the next start, whatever failed after it", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  // The link of the canary cannot be taken away after the traffic has moved, at no attempt.
  const { releases } = host.ports;
  const ports = {
    ...host.ports,
    releases: {
      ...releases,
      publish: async (app: string, links: object) => {
        if ("canary" in links && host.disk.slots === `${v2}:60`) throw full();
        return releases.publish(app, links);
      },
    },
  };
  await agent.close();
  const second = agentOn(host, ports);
  expect(await ended(second, second.deploy("shop", host.request(v2)))).toMatchObject({ outcome: "failed" });
  expect((await stateOf(host)).journal?.deployment.state).toBe("cutting_over");
  await second.close();
  await agentOn(host).recoverAll();
  expect(host.disk.slots).toBe(`${v2}:60`);
  expect(await stateOf(host)).toMatchObject({ live: v2, journal: null });
});

test("C6: ended deployments leave no events in memory, and can still be followed", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const { deployment } = await agent.deploy("shop", host.request(v1));
  const first: number[] = [];
  for await (const { id } of agent.events(deployment, 0, never)) first.push(id);
  await vi.waitFor(() => expect(host.disk.events.get(deployment)?.at(-1)?.type).toBe("end"));
  // As if they came from the file alone.
  host.disk.events.set(deployment, (host.disk.events.get(deployment) ?? []).slice(0, 2));
  const later: number[] = [];
  await vi.waitFor(async () => {
    later.length = 0;
    for await (const { id } of agent.events(deployment, 0, never)) later.push(id);
    expect(later).toEqual([1, 2, first.length]);
  });
});

test("C8: an app that waits for an old worker holds up no other at a start, and no call comes before what was left", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  let closed: Promise<void> | undefined;
  host.onEffect = (effect) => {
    if (effect === `environment.build ${v2}`) closed = agent.close();
  };
  const { deployment } = await agent.deploy("shop", host.request(v2));
  await vi.waitFor(() => expect(closed).toBeDefined());
  await closed;

  host.apps = ["slow", "shop"];
  const { states } = host.ports;
  const { promise: stuck, resolve } = Promise.withResolvers<void>();
  const next = agentOn(host, {
    ...host.ports,
    states: {
      ...states,
      load: async (app: string) => {
        if (app === "slow") await stuck;
        return states.load(app);
      },
    },
  });
  const recovered = next.recoverAll();
  // As soon as an agent may take calls.
  await new Promise(setImmediate);
  const later = await ended(next, next.deploy("shop", { ...host.request(v3), waitMs: 60_000 }));
  expect(later).toMatchObject({ outcome: "succeeded" });
  expect(await next.deployment(deployment)).toMatchObject({ outcome: "succeeded" });
  resolve();
  await recovered;
});

test("C9: restarts in the middle of a recovery do not hold the app", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  await agent.close();
  const state = await stateOf(host);
  const deployment = { ...(state.history[0] ?? {}), release: v2, state: "healthy", outcome: "running" };
  const journal = { deployment, run: v2, from: v1, brought: true, attempts: 0 };
  host.disk.state.set("shop", JSON.stringify({ ...state, journal }));
  const { privileged } = host.ports;
  for (let start = 0; start < 5; start++) {
    let stop: Promise<void> | undefined;
    const next = agentOn(host, {
      ...host.ports,
      privileged: {
        ...privileged,
        removePrograms: async () => {
          stop ??= next.close();
          throw new Error("supervisord is down");
        },
      },
    });
    await next.recoverAll();
    await stop;
    expect(stop).toBeDefined();
    expect(await stateOf(host)).toMatchObject({ held: null, journal: { attempts: 0 } });
  }
  await agentOn(host).recoverAll();
  expect(await stateOf(host)).toMatchObject({ live: v1, journal: null, held: null });
});

test("C11: what failed deployments leave is bounded while none succeeds", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  const collected: number[] = [];
  const { events } = host.ports;
  const next = agentOn(host, {
    ...host.ports,
    events: { ...events, prune: async (_app, kept) => void collected.push(kept.length) },
  });
  await agent.close();
  for (let number = 10; number < 50; number++) {
    const release = `20261121T1000${number}Z-aaaaaaa`;
    host.answers.set(release, sick);
    expect(await ended(next, next.deploy("shop", host.request(release)))).toMatchObject({ outcome: "failed" });
  }
  expect((await stateOf(host)).releases.length).toBeLessThanOrEqual(6);
  expect(collected.length).toBeGreaterThan(30);
  expect(Math.max(...collected)).toBeLessThanOrEqual(21);
});

test("C13: a cutover that is refused leaves the static files of the release before", async () => {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, agent.deploy("shop", host.request(v1)));
  await ended(agent, agent.deploy("shop", host.request(v2)));
  await ended(agent, agent.rollback("shop", call));
  expect(host.disk.links).toMatchObject({ current: v1, previous: v2 });
  host.failing.set(`slots.swap ${v3}:60`, new CutoverError("nginx_config_broken", "refused"));
  expect(await ended(agent, agent.deploy("shop", host.request(v3)))).toMatchObject({ outcome: "failed" });
  expect(host.disk.links).toMatchObject({ current: v1, previous: v2 });
});

describe("C19: the same bundle sent again", () => {
  test("after a rollback is not answered with the success of before", async () => {
    const host = new FakeHost();
    const agent = agentOn(host);
    await ended(agent, agent.deploy("shop", host.request(v1)));
    const { deployment } = await agent.deploy("shop", host.request(v2));
    await agent.settled(deployment, 10_000, never);
    expect((await agent.deploy("shop", host.request(v2))).deployment).toBe(deployment);
    await ended(agent, agent.rollback("shop", call));
    await expect(agent.deploy("shop", host.request(v2))).rejects.toMatchObject({ code: "release_exists" });
  });

  test("does not abort its own activation after a restart", async () => {
    const { host, agent, id } = await staged({ health: { timeout: "5m" } });
    const slow = { kind: "unreachable", reason: "booting" } as const;
    host.answers.set(v2, slow);
    const { deployment } = await agent.activate("shop", v2, { ...call, weight: 100 });
    await agent.close();
    const next = agentOn(host);
    await next.recoverAll();
    expect(await next.deploy("shop", host.request(v2))).toMatchObject({ deployment: id });
    host.answers.clear();
    expect(await next.settled(deployment, 10_000, never)).toMatchObject({ outcome: "succeeded" });
    expect(await next.deployment(id)).toMatchObject({ outcome: "staged" });
  });
});
