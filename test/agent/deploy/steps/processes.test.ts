import { pino } from "pino";
import { expect, test } from "vitest";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../../../shared/protocol.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const v3 = "20261121T100200Z-3333333";
const never = new AbortController().signal;
const call = { by: { subject: "test" }, waitMs: 0, signal: never };

const worker = { command: "celery -A shop worker", instances: 2, stop_timeout: "60s", stay_up: "5s" };
const beat = { command: "celery -A shop beat", overlap: false, stop_timeout: "10s" };
const cold = { keep_warm: "0s", processes: { worker, beat } };
const warm = { ...cold, keep_warm: "1h" };

function agentOn(host: FakeHost): Deployments {
  return new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
}

async function ended(agent: Deployments, accepted: Accepted | Promise<Accepted>): Promise<DeploymentView> {
  const { deployment } = await accepted;
  return agent.settled(deployment, 10_000, never);
}

async function hostWith(releases: string[], settings: object = cold): Promise<{ host: FakeHost; agent: Deployments }> {
  const host = new FakeHost();
  const agent = agentOn(host);
  for (const release of releases) {
    const view = await ended(agent, agent.deploy("shop", host.request(release, settings)));
    expect(view, JSON.stringify(view.failure)).toMatchObject({ outcome: "succeeded" });
  }
  host.effects.length = 0;
  return { host, agent };
}

/** What a person reads of a deployment. */
async function noticesOf(agent: Deployments, deployment: string): Promise<string[]> {
  const notices: string[] = [];
  for await (const event of agent.events(deployment, 0, never)) {
    if (event.type === "notice") notices.push(event.message);
  }
  return notices;
}

/** From the first process on: what comes before is as without processes. */
const processEffects = ({ effects }: FakeHost) =>
  effects.slice(effects.findIndex((name) => name.startsWith("process")));

const running = ({ disk }: FakeHost) =>
  [...disk.processes]
    .filter(([, { asked }]) => asked === undefined)
    .map(([key]) => key)
    .toSorted();

test("new processes are proven before the cutover, and the old ones asked to stop after it", async () => {
  const { host, agent } = await hostWith([v1]);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  expect(view.outcome).toBe("succeeded");
  expect(processEffects(host)).toEqual([
    `process.start ${v2} worker`,
    `process.stop ${v1} beat`,
    `process.remove ${v1} beat`,
    `process.start ${v2} beat`,
    `publish ${v2} after ${v1}`,
    `slots.swap ${v2}:60`,
    `process.stop ${v1} worker`,
    `process.remove ${v1} worker`,
    `programs.remove ${v1}`,
  ]);
  expect(running(host)).toEqual([`${v2} beat`, `${v2} worker`]);
});

test("a deployment tells how long it waited for a job, and a drain does not hold up the stop", async () => {
  const { host, agent } = await hostWith([v1]);
  host.stopTimes.set("worker", 20_000);
  host.connections.set(`unix:${v1}/web-0.sock`, 1);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  expect(view.outcome).toBe("succeeded");
  const notices = await noticesOf(agent, view.id);
  expect(notices).toContain("worker is started and has to stay up for 5s");
  expect(notices).toContainEqual(
    expect.stringMatching(`^worker of ${v1} was asked to stop and ended; waited 20(\\.\\d)?s for it$`),
  );
  expect(running(host)).toEqual([`${v2} beat`, `${v2} worker`]);
});

test("what does not end in time is killed, and the deployment says so", async () => {
  const { host, agent } = await hostWith([v1]);
  host.stopTimes.set("worker", 3_600_000);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  expect(view.outcome).toBe("succeeded");
  expect(await noticesOf(agent, view.id)).toContain(
    `worker-0, worker-1 of ${v1} did not end within 1m of its stop signal and had to be killed; its current job was cut`,
  );
});

test("a staged release and a canary start no process; the activation does", async () => {
  const { host, agent } = await hostWith([v1]);
  await ended(agent, agent.deploy("shop", host.request(v2, cold, { activate: false })));
  expect(await ended(agent, agent.activate("shop", v2, { ...call, weight: 10 }))).toMatchObject({
    outcome: "succeeded",
  });
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect(host.effects.filter((name) => name.startsWith("process"))).toEqual([]);
  await ended(agent, agent.activate("shop", v2, { ...call, weight: 100 }));
  expect(running(host)).toEqual([`${v2} beat`, `${v2} worker`]);
});

test("an activation of what is live already leaves its processes alone", async () => {
  const { host, agent } = await hostWith([v1]);
  expect(await ended(agent, agent.activate("shop", v1, { ...call, weight: 100 }))).toMatchObject({
    outcome: "succeeded",
  });
  expect(host.effects.filter((name) => name.startsWith("process"))).toEqual([]);
});

test("a warm rollback starts the processes again, and a redeploy has its own", async () => {
  const { host, agent } = await hostWith([v1, v2], warm);
  expect(running(host)).toEqual([`${v2} beat`, `${v2} worker`]);
  expect(await ended(agent, agent.rollback("shop", call))).toMatchObject({ outcome: "succeeded", release: v1 });
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect(await ended(agent, agent.redeploy("shop", "live", call))).toMatchObject({ outcome: "succeeded" });
  expect(running(host)).toEqual([`${v1}.2 beat`, `${v1}.2 worker`]);
});

test("a process that the new release does not have any more is stopped, and one that it brings is started", async () => {
  const { host, agent } = await hostWith([v1]);
  const mailer = { command: "python mailer.py" };
  await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, processes: { mailer } })));
  expect(running(host)).toEqual([`${v2} mailer`]);
  await ended(agent, agent.deploy("shop", host.request(v3, { ...cold, processes: {} })));
  expect(running(host)).toEqual([]);
});

test("a process is never there twice where the old or the new release forbids it", async () => {
  const { host, agent } = await hostWith([v1], { ...cold, processes: { beat } });
  await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, processes: { beat: { command: "beat" } } })));
  expect(processEffects(host).slice(0, 3)).toEqual([
    `process.stop ${v1} beat`,
    `process.remove ${v1} beat`,
    `process.start ${v2} beat`,
  ]);
});

const failures: [string, string, (host: FakeHost) => void][] = [
  ["a worker that ends at once", "worker", (host) => host.processStates.set(`${v2} worker`, "BACKOFF")],
  ["a worker that is restarted", "worker", restartedWhileWatched("worker")],
  ["a beat that ends at once", "beat", (host) => host.processStates.set(`${v2} beat`, "BACKOFF")],
  ["a beat that is restarted", "beat", restartedWhileWatched("beat")],
];

function restartedWhileWatched(name: string) {
  return (host: FakeHost) => {
    host.onEffect = (effect) => {
      if (effect !== `process.start ${v2} ${name}`) return;
      // After the first look, which has seen the first pid.
      setTimeout(() => host.restarts.set(`${v2} ${name}`, 1), 0);
    };
  };
}

test.each(failures)("%s undoes the deployment, and the old processes run", async (_, name, breakIt) => {
  const long = { ...worker, stay_up: "1h" };
  const processes = { worker: name === "worker" ? long : worker, beat: { ...beat, stay_up: "1h" } };
  const { host, agent } = await hostWith([v1]);
  breakIt(host);
  const view = await ended(agent, agent.deploy("shop", host.request(v2, { ...cold, processes })));
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "instance_died" } });
  expect(view.failure?.detail).toContain(`${name}-0`);
  expect(view.failure?.evidence).toEqual([{ source: `${name}-0`, text: `log of ${name}-0 of ${v2}` }]);
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect(host.effects.filter((effect) => effect.startsWith("slots"))).toEqual([]);
  expect(host.effects).not.toContain(`process.stop ${v1} worker`);
  expect(host.effects.includes(`process.stop ${v1} beat`)).toBe(name === "beat");
  expect([...host.disk.programs]).toEqual([v1]);
  const next = await ended(agent, agent.deploy("shop", host.request(v3, cold)));
  expect(next.outcome).toBe("succeeded");
  expect(running(host)).toEqual([`${v3} beat`, `${v3} worker`]);
});

test("on the way back the new beat has ended before the old one starts", async () => {
  const { host, agent } = await hostWith([v1]);
  host.processStates.set(`${v2} beat`, "FATAL");
  await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  const order = host.effects.filter((name) => name.includes("beat"));
  expect(order).toEqual([
    `process.stop ${v1} beat`,
    `process.remove ${v1} beat`,
    `process.start ${v2} beat`,
    `process.remove ${v2} beat`,
    `process.start ${v1} beat`,
  ]);
});

test("a cutover that nginx refuses brings the old processes back", async () => {
  const { host, agent } = await hostWith([v1]);
  host.failing.set(`slots.swap ${v2}:60`, new CutoverError("nginx_config_broken", "nginx refuses"));
  const view = await ended(agent, agent.deploy("shop", host.request(v2, cold)));
  expect(view).toMatchObject({ outcome: "failed", failure: { code: "nginx_config_broken" } });
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect([...host.disk.programs]).toEqual([v1]);
});

test("an abort while the old beat is being stopped starts it again", async () => {
  const { host, agent } = await hostWith([v1]);
  host.stopTimes.set("beat", 9000);
  const asked = new Promise<void>((resolve) => {
    host.onEffect = (effect) => effect === `process.stop ${v1} beat` && resolve();
  });
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  await asked;
  expect(await agent.abort(accepted.deployment)).toMatchObject({ outcome: "aborted" });
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
});

test("an agent that shuts down in the middle gives the live run its processes back, and the next start goes on", async () => {
  const { host, agent } = await hostWith([v1]);
  host.stopTimes.set("worker", 50_000);
  const begun = new Promise<void>((resolve) => {
    host.onEffect = (effect) => effect === `process.start ${v2} beat` && resolve();
  });
  const accepted = await agent.deploy("shop", host.request(v2, cold));
  await begun;
  await agent.close();
  expect([...host.disk.processes.keys()].toSorted()).toEqual([`${v1} beat`, `${v1} worker`]);
  expect(running(host)).toEqual([`${v1} beat`, `${v1} worker`]);
  expect([...host.disk.programs]).toEqual([v1, v2]);

  const next = agentOn(host);
  await next.recoverAll();
  expect(await ended(next, Promise.resolve(accepted))).toMatchObject({ outcome: "succeeded" });
  expect(running(host)).toEqual([`${v2} beat`, `${v2} worker`]);
  expect([...host.disk.programs]).toEqual([v2]);
});

test("a bundle that is refused asks supervisor for nothing", async () => {
  const { host, agent } = await hostWith([v1]);
  host.failing.set(`environment.build ${v2}`, new CutoverError("environment_failed", "pip"));
  expect(await ended(agent, agent.deploy("shop", host.request(v2, cold)))).toMatchObject({ outcome: "failed" });
  expect(host.effects.filter((name) => name.startsWith("process"))).toEqual([]);
});

test("the status shows each process of every run, without connections and slots", async () => {
  const { host, agent } = await hostWith([v1]);
  host.processStates.set(`${v1} beat`, "FATAL");
  const { instances } = await agent.app("shop");
  const shown = instances.filter(({ process }) => process !== undefined);
  expect(
    shown.map(({ name, run, process, state, slots, connections }) => [name, run, process, state, slots, connections]),
  ).toEqual([
    ["worker-0", v1, "worker", "RUNNING", 0, 0],
    ["worker-1", v1, "worker", "RUNNING", 0, 0],
    ["beat-0", v1, "beat", "FATAL", 0, 0],
  ]);
});

test("an app that is removed takes its processes with it", async () => {
  const { host, agent } = await hostWith([v1]);
  await agent.removeApp("shop");
  expect([...host.disk.processes]).toEqual([]);
});

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
