import { expect, test } from "vitest";
import { FakeHost } from "../../../fakes/ports.ts";
import { agentOn, cold, ended, hostWith, running, v1, v2, v3, worker } from "../process-host.ts";

/** A host whose agent was killed at the named effect, which did not happen: that agent's later writes go to a disk nobody reads. */
async function killedAt(effect: string, break_?: (host: FakeHost) => void, settings: object = cold) {
  const { host, agent } = await hostWith([v1], settings);
  const after = new FakeHost();
  break_?.(host);
  const killed = new Promise<void>((resolve) => {
    host.onEffect = (name) => {
      if (name !== effect) return;
      Object.assign(after.disk, structuredClone(host.disk));
      resolve();
    };
  });
  const second = agent.deploy("shop", host.request(v2, settings)).catch(() => undefined);
  await killed;
  await second;
  const journal = JSON.parse(after.disk.state.get("shop") ?? "{}").journal;
  return { host: after, deployment: String(journal.deployment.id) };
}

const beforeCutover = [
  `programs.start ${v2}`,
  `process.start ${v2} worker`,
  `process.stop ${v1} beat`,
  `process.remove ${v1} beat`,
  `process.start ${v2} beat`,
];

test.each(beforeCutover)("killed at %s: the next start brings the live run's processes back", async (effect) => {
  const { host, deployment } = await killedAt(effect);
  const agent = agentOn(host);
  await agent.recoverAll();
  expect(await agent.deployment(deployment)).toMatchObject({ outcome: "failed", failure: { code: "agent_stopping" } });
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect([...host.disk.processes.keys()].toSorted()).toEqual([`${v1} beat`, `${v1} worker`]);
  expect([...host.disk.programs]).toEqual([v1]);
  expect(await ended(agent, agent.deploy("shop", host.request(v3, cold)))).toMatchObject({ outcome: "succeeded" });
  expect(running(host)).toEqual([`${v3} beat`, `${v3} worker`]);
});

const afterCutover = [
  `publish ${v2} after ${v1}`,
  `slots.swap ${v2}:60`,
  `process.stop ${v1} worker`,
  `process.remove ${v1} worker`,
  `programs.remove ${v1}`,
];

test.each(afterCutover)("killed at %s: the next start leaves the new run's processes alone", async (effect) => {
  const { host, deployment } = await killedAt(effect);
  const agent = agentOn(host);
  await agent.recoverAll();
  expect(await agent.deployment(deployment)).toMatchObject({ outcome: "succeeded" });
  expect([...host.disk.processes.keys()].toSorted()).toEqual([`${v2} beat`, `${v2} worker`]);
  expect([...host.disk.programs]).toEqual([v2]);
});

test("killed while the old beat was ending: it ends, and is started anew", async () => {
  const { host } = await killedAt(`process.remove ${v1} beat`);
  host.stopTimes.set("beat", 9000);
  await agentOn(host).recoverAll();
  expect(host.effects.filter((name) => name.includes("beat"))).toEqual([
    `process.remove ${v1} beat`,
    `process.start ${v1} beat`,
  ]);
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
});

test("killed in the middle of the undo: the next start goes on with it", async () => {
  const broken = (host: FakeHost) => void host.processStates.set(`${v2} beat`, "FATAL");
  for (const effect of [`process.remove ${v2} beat`, `process.start ${v1} beat`, `process.remove ${v2} worker`]) {
    const { host } = await killedAt(effect, broken);
    await agentOn(host).recoverAll();
    expect([...host.disk.processes.keys()].toSorted(), effect).toEqual([`${v1} beat`, `${v1} worker`]);
    expect(running(host), effect).toEqual([`${v1} beat`, `${v1} worker`]);
  }
});

test("an agent that starts removes processes of runs that it does not know, and starts what is missing", async () => {
  const { host, agent } = await hostWith([v1]);
  const stranger = { run: v3, process: "worker", instances: 1, stopMs: 1000, asked: undefined };
  host.disk.processes.set(`${v3} worker`, stranger);
  host.disk.processes.delete(`${v1} beat`);
  await agent.recoverAll();
  expect(host.effects).toEqual([
    `process.stop ${v3} worker`,
    `process.start ${v1} beat`,
    `process.remove ${v3} worker`,
  ]);
  host.effects.length = 0;
  await agent.recoverAll();
  expect(host.effects).toEqual([]);
});

test("a worker that takes hours over its job does not hold up the start of the agent", async () => {
  const { host } = await killedAt(`slots.swap ${v2}:60`, undefined, {
    ...cold,
    processes: { worker: { ...worker, stop_timeout: "4h" } },
  });
  host.stopTimes.set("worker", 3 * 3_600_000);
  const agent = agentOn(host);
  await agent.recoverAll();
  expect(host.disk.slots).toBe(`${v2}:60`);
  expect(host.disk.processes.has(`${v1} worker`)).toBe(true);
  await agent.close();
});
