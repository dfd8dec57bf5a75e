import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import type { AppState } from "../../../../agent/deploy/state.ts";
import { loadState } from "../../../../agent/deploy/state-format.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

/** SIGTERM: what runs reaches its next safe point, and the next start goes on from there. */

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const cold = { keep_warm: "0s" };
const migrate = { ...cold, release: { command: "migrate", timeout: "10m" } };
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, { deployment }: Accepted): Promise<DeploymentView> {
  return agent.settled(deployment, 10_000, new AbortController().signal);
}

async function hostWith(release: string): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  await ended(agent, await agent.deploy("shop", host.request(release, cold)));
  return { host, agent };
}

/** Shuts the agent down in the middle of this effect. @returns what tells that it has */
function shutDownAt(host: FakeHost, agent: Deployments, effect: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  host.onEffect = (name) => {
    if (name === effect) resolve(agent.close());
  };
  return promise;
}

async function stateOf(host: FakeHost): Promise<AppState> {
  return loadState(host.ports.states, "shop");
}

const beforeCutover = [
  [`environment.build ${v2}`, "built"],
  [`release.command ${v2}: migrate`, "released"],
  [`programs.start ${v2}`, "started"],
] as const;

test.each(beforeCutover)("shut down at %s: that step ends, and the next start goes on after %s", async (effect, at) => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, effect);
  const accepted = await agent.deploy("shop", host.request(v2, migrate));
  await closed;
  const left = await stateOf(host);
  expect(left.journal).toMatchObject({ deployment: { state: at, outcome: "running" }, attempts: 0 });
  expect(host.disk.slots).toBe(`${v1}:60`);

  const next = agentOn(host);
  await next.recoverAll();
  const view = await ended(next, accepted);
  expect(view).toMatchObject({ outcome: "succeeded", kind: "deploy", release: v2 });
  expect(view.phases.map(({ state }) => state)).toEqual([...new Set(view.phases.map(({ state }) => state))]);
  expect(await stateOf(host)).toMatchObject({ live: v2, journal: null, held: null });
  expect([...host.disk.programs]).toEqual([v2]);
  for (const name of [`release.unpack ${v2}`, `release.command ${v2}: migrate`]) {
    expect(host.effects.filter((done) => done === name)).toEqual([name]);
  }
});

test("shut down while it retires what was warm: the next start takes that away to the end, and goes on", async () => {
  const { host, agent } = await hostWith(v1);
  await ended(agent, await agent.deploy("shop", host.request(v2, { keep_warm: "10m" })));
  expect((await stateOf(host)).warm).toMatchObject({ run: v1 });
  const closed = shutDownAt(host, agent, `programs.start ${v3}`);
  const accepted = await agent.deploy("shop", host.request(v3, cold));
  await closed;
  expect((await stateOf(host)).journal).toMatchObject({ deployment: { outcome: "running" }, onward: {} });
  // The process has ended before supervisord was done with it.
  const left = new FakeHost();
  Object.assign(left.disk, structuredClone(host.disk));
  expect([...left.disk.programs]).toEqual([v1, v2, v3]);
  const next = agentOn(left);
  await next.recoverAll();
  expect(await ended(next, accepted)).toMatchObject({ outcome: "succeeded", release: v3 });
  expect([...left.disk.programs]).toEqual([v3]);
});

test("shut down during the health check: no time is lost, and the next start asks again", async () => {
  const { host, agent } = await hostWith(v1);
  host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
  const asked = shutDownAt(host, agent, `programs.start ${v2}`);
  const accepted = await agent.deploy("shop", host.request(v2, { ...cold, health: { timeout: "9s" } }));
  await asked;
  host.answers.delete(v2);
  const next = agentOn(host);
  await next.recoverAll();
  expect(await ended(next, accepted)).toMatchObject({ outcome: "succeeded" });
});

test.each([`publish ${v2} after ${v1}`, `slots.swap ${v2}:60`])(
  "shut down at %s: the traffic has moved, and the next start watches and drains",
  async (effect) => {
    const { host, agent } = await hostWith(v1);
    const closed = shutDownAt(host, agent, effect);
    const accepted = await agent.deploy("shop", host.request(v2, cold));
    await closed;
    expect(await stateOf(host)).toMatchObject({ live: v2, journal: { deployment: { outcome: "running" } } });
    expect([...host.disk.programs]).toEqual([v1, v2]);

    const next = agentOn(host);
    // It fails its watch, which so is seen to go on: the old run is still warm for that.
    host.answers.set(v2, { kind: "status", status: 500, body: "", location: undefined });
    await next.recoverAll();
    expect(await ended(next, accepted)).toMatchObject({ outcome: "failed", failure: { code: "watch_failed" } });
    expect(await stateOf(host)).toMatchObject({ live: v1, journal: null });
    expect([...host.disk.programs]).toEqual([v1]);
  },
);

test("a bundle that is still coming cannot go on: its sender is told, and sends it again", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `release.unpack ${v2}`);
  await expect(agent.deploy("shop", host.request(v2, cold))).rejects.toMatchObject({ code: "agent_stopping" });
  await closed;
  expect(await stateOf(host)).toMatchObject({ live: v1, journal: null });
  expect([...host.disk.releases.keys()]).toEqual([v1]);
  await expect(agent.deploy("shop", host.request(v2, cold))).rejects.toMatchObject({ code: "agent_stopping" });

  const next = agentOn(host);
  await next.recoverAll();
  expect(await ended(next, await next.deploy("shop", host.request(v2, cold)))).toMatchObject({ outcome: "succeeded" });
});

test("a bundle that was sent again because its answer was lost is the deployment that goes on", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `environment.build ${v2}`);
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  await closed;
  const next = agentOn(host);
  await next.recoverAll();
  expect(await next.deploy("shop", host.request(v2, cold))).toEqual(accepted);
  expect(await ended(next, accepted)).toMatchObject({ outcome: "succeeded" });
});

test("a release command that does not end in time is ended, never run again, and the deployment is undone", async () => {
  const { host, agent } = await hostWith(v1);
  const { privileged, ...ports } = host.ports;
  let runs = 0;
  const hanging = {
    ...ports,
    privileged: {
      ...privileged,
      runCommand: async (_spec: unknown, { signal }: { signal: AbortSignal }) => {
        runs++;
        const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        void patient.close();
        return aborted as Promise<number>;
      },
    },
  };
  const patient = new Deployments({ ports: hanging, log: pino({ level: "silent" }) });
  await patient.recoverAll();
  const accepted = await patient.deploy("shop", host.request(v2, migrate));
  const view = await ended(patient, accepted);
  await patient.close();
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "release_command_failed" } });
  expect(view.failure?.detail).toContain("did not end within 4s");
  expect(view.failure?.fix).toContain("runs it again");
  expect(await stateOf(host)).toMatchObject({ live: v1, journal: null });
  await agentOn(host).recoverAll();
  expect(runs).toBe(1);
  await agent.close();
});

test("killed after it was taken up again: it is undone, as any other", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `environment.build ${v2}`);
  const { deployment } = await agent.deploy("shop", host.request(v2, cold));
  await closed;
  const killed = new FakeHost();
  const taken = new Promise<void>((resolve) => {
    host.onEffect = (name) => {
      if (name !== `programs.start ${v2}`) return;
      Object.assign(killed.disk, structuredClone(host.disk));
      resolve();
    };
  });
  await agentOn(host).recoverAll();
  await taken;
  const next = agentOn(killed);
  await next.recoverAll();
  expect(await next.deployment(deployment)).toMatchObject({ outcome: "failed", failure: { code: "agent_stopping" } });
  expect(killed.disk.slots).toBe(`${v1}:60`);
  expect(await ended(next, await next.deploy("shop", killed.request(v3, cold)))).toMatchObject({
    outcome: "succeeded",
  });
});

test("what the host's settings no longer allow does not go on", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `environment.build ${v2}`);
  const site = { site: { server_name: ["shop.example.com"] } };
  const accepted = await agent.deploy("shop", host.request(v2, { ...cold, ...site }));
  await closed;
  host.settings = { ...host.settings, domains: ["other.example.com"] };
  const next = agentOn(host);
  await next.recoverAll();
  expect(await ended(next, accepted)).toMatchObject({ outcome: "failed", failure: { code: "domain_not_allowed" } });
  expect(await stateOf(host)).toMatchObject({ live: v1, journal: null });
});

test("a staged release stays leased to its job, and a rollback, a redeploy and a canary's step go on too", async () => {
  const { host, agent } = await hostWith(v1);
  await ended(agent, await agent.deploy("shop", host.request(v2, cold)));
  let last = agent;
  const through = async (begin: (agent: Deployments) => Promise<Accepted>, effect: string) => {
    const closed = shutDownAt(host, last, effect);
    const accepted = await begin(last);
    await closed;
    last = agentOn(host);
    await last.recoverAll();
    return ended(last, accepted);
  };
  expect(await through((now) => now.rollback("shop", call), `programs.start ${v1}`)).toMatchObject({
    outcome: "succeeded",
    kind: "rollback",
  });
  expect(await stateOf(host)).toMatchObject({ live: v1 });
  const redeployed = await through((now) => now.redeploy("shop", "live", call), `programs.start ${v1}.2`);
  expect(redeployed).toMatchObject({ outcome: "succeeded" });
  expect(await stateOf(host)).toMatchObject({ live: `${v1}.2` });

  const staging = host.request(v3, cold, { activate: false, leaseMs: 50_000 });
  expect(await through((now) => now.deploy("shop", staging), `programs.start ${v3}`)).toMatchObject({
    outcome: "staged",
  });
  await expect(last.rollback("shop", call)).rejects.toMatchObject({ code: "deployment_in_progress" });
  const share = () => last.activate("shop", v3, { ...call, weight: 25 });
  expect(await through(share, `publish canary ${v3}`)).toMatchObject({ outcome: "succeeded", weight: 25 });
  expect(host.disk.slots).toBe(`${v1}.2:45 ${v3}:15`);
  await last.close();
});

test("an abort that comes too late for this life of the agent is for the next one", async () => {
  const { host, agent } = await hostWith(v1);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  host.onEffect = (effect) => {
    if (effect !== `programs.start ${v2}`) return;
    const closed = agent.close();
    const { deployment } = JSON.parse(host.disk.state.get("shop") ?? "{}").journal;
    agent.abort(deployment.id).then(resolve, resolve);
    void closed;
  };
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  const answer = await promise;
  const next = agentOn(host);
  await next.recoverAll();
  // Either it was aborted, or it says that it was not: never an answer that is taken for an abort of what goes on.
  if ((answer as DeploymentView).outcome === "aborted") {
    expect(await stateOf(host)).toMatchObject({ live: v1, journal: null });
  } else {
    expect(answer).toMatchObject({ code: "agent_stopping" });
    expect(await next.abort(accepted.deployment)).toMatchObject({ outcome: "aborted" });
  }
});

test("followers of a deployment are let go when it is left, to find it in the next life of the agent", async () => {
  const { host, agent } = await hostWith(v1);
  const closed = shutDownAt(host, agent, `programs.start ${v2}`);
  const { deployment } = await agent.deploy("shop", host.request(v2, cold));
  const seen: number[] = [];
  for await (const { id } of agent.events(deployment, 0, new AbortController().signal)) seen.push(id);
  await closed;
  const next = agentOn(host);
  await next.recoverAll();
  for await (const { id } of next.events(deployment, seen.at(-1) ?? 0, new AbortController().signal)) seen.push(id);
  expect(seen).toEqual(seen.map((_, index) => index + 1));
});
