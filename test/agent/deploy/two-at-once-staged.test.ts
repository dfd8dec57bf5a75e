import { describe, expect, test, vi } from "vitest";
import { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import { FakeHost } from "../../fakes/ports.ts";
import { agentOn, call, ended, never, sick, staged, stateOf, v1, v2 } from "./two-at-once.ts";

/** Faults that need two things at once, one of them a staged release or a canary. */

test("C3: a question about the canary that is not answered does not end its watch", async () => {
  const { host, agent, id } = await staged();
  await ended(agent, agent.activate("shop", v2, { ...call, weight: 50 }));
  const { privileged } = host.ports;
  let asked = 0;
  const away = new CutoverError("helper_unreachable", "The helper is away.");
  const ports = {
    ...host.ports,
    privileged: {
      ...privileged,
      programs: async (app: string, run: string) => {
        if (run === v2 && ++asked === 2) throw away;
        return privileged.programs(app, run);
      },
    },
  };
  await agent.close();
  const next = agentOn(host, ports);
  await next.recoverAll();
  await vi.waitFor(() => expect(asked).toBeGreaterThan(3));
  host.answers.set(v2, sick);
  await vi.waitFor(() => expect(host.disk.slots).toBe(`${v1}:60`));
  expect(await next.settled(id, 10_000, never)).toMatchObject({ outcome: "failed" });
});

describe("C5: a staged release survives", () => {
  test("an activation that is refused", async () => {
    const { host, agent } = await staged();
    const unreachable = new CutoverError("nginx_unreachable", "nginx is down");
    const { privileged } = host.ports;
    await agent.close();
    const next = agentOn(host, {
      ...host.ports,
      privileged: { ...privileged, checkSite: () => Promise.reject(unreachable) },
    });
    const view = await ended(next, next.activate("shop", v2, { ...call, weight: 100 }));
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "nginx_unreachable" } });
    expect(await next.app("shop")).toMatchObject({ live: v1, staged: v2 });
    expect([...host.disk.programs].toSorted()).toEqual([v1, v2]);
  });

  test("a canary that is impossible", async () => {
    const host = new FakeHost();
    const agent = agentOn(host);
    const uwsgi = { server: { kind: "uwsgi", app: "shop.wsgi:application", protocol: "uwsgi" } };
    await ended(agent, agent.deploy("shop", host.request(v1)));
    await ended(agent, agent.deploy("shop", host.request(v2, uwsgi, { activate: false })));
    const view = await ended(agent, agent.activate("shop", v2, { ...call, weight: 10 }));
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "canary_impossible" } });
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2, weight: 0 });
    expect([...host.disk.releases.keys()]).toEqual([v1, v2]);
  });

  test("a redeploy of it that fails", async () => {
    const { host, agent } = await staged();
    host.answers.set(`${v2}.2`, sick);
    const view = await ended(agent, agent.redeploy("shop", v2, call));
    expect(view).toMatchObject({ outcome: "failed", failure: { code: "health_failed" } });
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2 });
    expect([...host.disk.programs].toSorted()).toEqual([v1, v2]);
    expect(await ended(agent, agent.activate("shop", v2, { ...call, weight: 100 }))).toMatchObject({
      outcome: "succeeded",
    });
  });

  test("a redeploy of it that succeeds, as the live release", async () => {
    const { host, agent } = await staged();
    expect(await ended(agent, agent.redeploy("shop", v2, call))).toMatchObject({ outcome: "succeeded" });
    expect(await agent.app("shop")).toMatchObject({ live: `${v2}.2`, staged: null });
    expect([...host.disk.programs]).not.toContain(v2);
    expect((await stateOf(host)).releases.find(({ id }) => id === v2)?.state).toBe("live");
  });

  test("a kill in the middle of its activation", async () => {
    const { host, agent } = await staged();
    await agent.close();
    const { journal, ...state } = await stateOf(host);
    const deployment = { ...(state.history[0] ?? {}), kind: "activate", state: "healthy", outcome: "running" };
    const open = { deployment, run: v2, from: v1, brought: false, attempts: 0 };
    host.disk.state.set("shop", JSON.stringify({ ...state, journal: open }));
    expect(journal).toBeNull();
    await agentOn(host).recoverAll();
    expect(await stateOf(host)).toMatchObject({ live: v1, staged: { run: v2 }, journal: null });
    expect([...host.disk.programs].toSorted()).toEqual([v1, v2]);
  });
});

describe("C10: an abort is not lost", () => {
  test("while a release is staged", async () => {
    const host = new FakeHost();
    const agent = agentOn(host);
    await ended(agent, agent.deploy("shop", host.request(v1)));
    let aborted: Promise<DeploymentView> | undefined;
    host.onEffect = (effect) => {
      if (effect === `publish staged ${v2}`) aborted = agent.abort(id);
    };
    const { deployment: id } = await agent.deploy("shop", host.request(v2, {}, { activate: false }));
    expect(await agent.settled(id, 10_000, never)).toMatchObject({ outcome: "aborted" });
    expect(await aborted).toMatchObject({ outcome: "aborted" });
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: null });
  });

  test("while a canary's share changes", async () => {
    const { host, agent } = await staged();
    let aborted: Promise<DeploymentView> | undefined;
    host.onEffect = (effect) => {
      if (effect === `slots.swap ${v1}:45 ${v2}:15`) aborted = agent.abort(id);
    };
    const { deployment: id } = await agent.activate("shop", v2, { ...call, weight: 25 });
    expect(await agent.settled(id, 10_000, never)).toMatchObject({ outcome: "aborted" });
    expect(await aborted).toMatchObject({ outcome: "aborted" });
    expect(host.disk.slots).toBe(`${v1}:60`);
    expect(await agent.app("shop")).toMatchObject({ live: v1, staged: v2, weight: 0 });
  });
});

test("C12: a canary older than all remembered deployments can be aborted after a restart", async () => {
  const { host, agent, id } = await staged();
  for (let number = 10; number < 40; number++) {
    await ended(agent, agent.activate("shop", v2, { ...call, weight: number }));
  }
  await agent.close();
  const next = agentOn(host);
  await next.recoverAll();
  expect(await next.abort(id)).toMatchObject({ outcome: "aborted" });
  expect(host.disk.slots).toBe(`${v1}:60`);
});

test("an abort of what is staged does not write over a deployment that stayed open", async () => {
  const { host, agent, id } = await staged();
  host.answers.set(`${v2}.2`, sick);
  const down = new CutoverError("supervisor_unreachable", "supervisord is down");
  host.failing.set(`programs.remove ${v2}.2`, down);
  const open = await ended(agent, agent.redeploy("shop", v2, call));
  expect(open.failure?.unchanged).toContain("not undone to the end yet");
  await expect(agent.abort(id)).rejects.toMatchObject({ code: "app_held" });
  expect((await stateOf(host)).journal?.deployment.id).toBe(open.id);
  host.failing.clear();
  expect(await agent.abort(id)).toMatchObject({ outcome: "aborted" });
  const { journal, history } = await stateOf(host);
  expect(journal).toBe(null);
  expect(history.map((view) => view.id)).toEqual(expect.arrayContaining([id, open.id]));
  expect([...host.disk.programs]).toEqual([v1]);
});
