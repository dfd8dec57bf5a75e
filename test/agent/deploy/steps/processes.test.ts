import { expect, test } from "vitest";
import { CutoverError } from "../../../../shared/errors.ts";
import { FakeHost } from "../../../fakes/ports.ts";
import {
  agentOn,
  beat,
  call,
  cold,
  ended,
  hostWith,
  noticesOf,
  processEffects,
  running,
  v1,
  v2,
  v3,
  warm,
  worker,
} from "../process-host.ts";

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

test("an app whose removal is refused keeps all that has visitors", async () => {
  const { host, agent } = await hostWith([v1]);
  const refused = new CutoverError("nginx_config_broken", "nginx refuses its configuration");
  host.failing.set("app.remove", refused);
  const there = structuredClone(host.disk);
  await expect(agent.removeApp("shop")).rejects.toBe(refused);
  expect(host.disk).toEqual(there);
});

test("an app that is removed takes its processes with it", async () => {
  const { host, agent } = await hostWith([v1]);
  await agent.removeApp("shop");
  expect([...host.disk.processes]).toEqual([]);
});

test("what runs on the first host alone runs on no other one: over a redeploy, a rollback and a start of the agent", async () => {
  const everywhere = { command: "python tick.py", overlap: false, hosts: "all" };
  const settings = { ...warm, processes: { worker, beat, tick: everywhere, solo: { ...worker, hosts: "first" } } };
  const host = new FakeHost();
  const agent = agentOn(host);
  const bring = (release: string) => agent.deploy("shop", host.request(release, settings, { firstHost: false }));
  await ended(agent, bring(v1));
  expect(running(host)).toEqual([`${v1} tick`, `${v1} worker`]);
  await ended(agent, bring(v2));
  expect(running(host)).toEqual([`${v2} tick`, `${v2} worker`]);
  await ended(agent, agent.redeploy("shop", "live", call));
  expect(running(host)).toEqual([`${v2}.2 tick`, `${v2}.2 worker`]);
  await ended(agent, agent.rollback("shop", call));
  expect(running(host).filter((name) => !/ (?:tick|worker)$/.test(name))).toEqual([]);
  // What a reboot leaves: the files, and nothing that runs.
  host.disk.processes.clear();
  await agentOn(host).recoverAll();
  expect(running(host).map((name) => name.split(" ")[1])).toEqual(["tick", "worker"]);
  // The fleet's order has changed: this host is the first now.
  await ended(agent, agent.deploy("shop", host.request(v3, settings)));
  expect(running(host)).toEqual([`${v3} beat`, `${v3} solo`, `${v3} tick`, `${v3} worker`]);
});
