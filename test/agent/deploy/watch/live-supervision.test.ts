import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import type { InstancesReport } from "../../../../agent/contracts/instances-report.ts";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const never = new AbortController().signal;
const web = (run: string, index: number) => `unix:${run}/web-${index}.sock`;

/** v1 is live and supervised. */
async function live(settings: object = {}) {
  const host = new FakeHost();
  const reports: InstancesReport[] = [];
  const agent = new Deployments({
    ...{ ports: host.ports, log: pino({ level: "silent" }) },
    onInstances: (report) => reports.push(report),
  });
  onTestFinished(() => agent.close());
  const deploy = async (release: string) => {
    const { deployment } = await agent.deploy("shop", host.request(release, { watch: "0s", ...settings }));
    return agent.settled(deployment, 10_000, never);
  };
  await deploy(v1);
  host.effects.length = 0;
  agent.supervision.start();
  const revivals = () => host.effects.filter((effect) => effect.startsWith("programs.revive"));
  const until = async (done: () => boolean) => {
    while (!done()) await setImmediate();
  };
  /** Lets so many milliseconds pass. */
  const pass = async (ms: number) => {
    const end = host.ports.clock.elapsed() + ms;
    await until(() => host.ports.clock.elapsed() >= end);
  };
  return { host, agent, reports, deploy, revivals, until, pass };
}

test("supervisord is not asked while all instances listen", async () => {
  const { revivals, reports, pass } = await live();
  await pass(3_600_000);
  expect(revivals()).toEqual([]);
  expect(reports).toEqual([]);
});

test("H2 an instance that is down is started again for as long as it takes; its end and its return are reported once", async () => {
  const { host, reports, revivals, until, pass } = await live();
  host.programStates.set(v1, "FATAL");
  host.silent.add(web(v1, 0)).add(web(v1, 1));
  await until(() => reports.length === 1);
  expect(reports[0]).toMatchObject({ event: "instances_down", app: "shop", run: v1 });
  expect(reports[0]?.instances.map(({ name, state }) => [name, state])).toEqual([
    ["web-0", "FATAL"],
    ["web-1", "FATAL"],
  ]);
  // A database that is late for two hours.
  const before = revivals().length;
  await pass(7_200_000);
  expect(revivals().length - before).toBeGreaterThan(200);
  expect(revivals().length - before).toBeLessThan(260);
  host.programStates.delete(v1);
  host.silent.clear();
  await until(() => reports.length === 2);
  expect(reports[1]).toMatchObject({ event: "instances_up", since: reports[0]?.since });
  const after = revivals().length;
  await pass(3_600_000);
  expect(revivals().length).toBe(after);
  expect(reports.length).toBe(2);
});

test("an instance that runs and does not listen is named when its time to boot is over", async () => {
  const { host, reports, until } = await live();
  host.silent.add(web(v1, 1));
  host.uptimes.set(v1, 1000);
  for (let turn = 0; turn < 2000; turn++) await setImmediate();
  expect(reports).toEqual([]);
  host.uptimes.set(v1, 3_600_000);
  await until(() => reports.length === 1);
  expect(reports[0]?.instances).toEqual([
    { name: "web-1", state: "RUNNING", detail: "it does not listen on its address" },
  ]);
});

test("instances that end again and again are not reported as well in between", async () => {
  const { host, reports, until, pass } = await live();
  host.silent.add(web(v1, 0));
  host.programStates.set(v1, "BACKOFF");
  await until(() => reports.length === 1);
  for (let round = 0; round < 5; round++) {
    host.programStates.delete(v1);
    host.silent.clear();
    await pass(6000);
    host.programStates.set(v1, "BACKOFF");
    host.silent.add(web(v1, 0));
    await pass(60_000);
  }
  expect(reports.length).toBe(1);
});

test("what was stopped is started again too, but not while the site is closed", async () => {
  const { host, agent, revivals, reports, until, pass } = await live();
  await agent.maintain("shop", { allow: [] });
  host.programStates.set(v1, "STOPPED");
  host.silent.add(web(v1, 0)).add(web(v1, 1));
  await pass(600_000);
  expect(new Set(revivals())).toEqual(new Set([`programs.revive ${v1}`]));
  expect(reports).toEqual([]);
  await agent.maintain("shop", null);
  await until(() => revivals().includes(`programs.revive ${v1} stopped`));
});

test("it never runs at the same time as a deployment that has cut over, and starts nothing stopped next to another", async () => {
  const { host, deploy, revivals, until } = await live({ watch: "30s" });
  const during: string[] = [];
  let phase = "before";
  host.onEffect = (effect) => {
    if (effect === `programs.start ${v2}`) {
      phase = "deploying";
      host.silent.add(web(v1, 0));
      host.programStates.set(v1, "FATAL");
    }
    if (effect === `publish ${v2} after ${v1}`) phase = "cut over";
    if (effect.startsWith("programs.revive")) during.push(`${phase}: ${effect}`);
  };
  expect((await deploy(v2)).outcome).toBe("succeeded");
  expect(during.filter((line) => line.startsWith("cut over"))).toEqual([]);
  expect(during.filter((line) => line.endsWith("stopped"))).toEqual([]);
  phase = "after";
  host.silent.add(web(v2, 0));
  await until(() => revivals().includes(`programs.revive ${v2} stopped`));
});

test("a removal is left alone", async () => {
  const { host, agent, revivals, pass } = await live();
  host.onEffect = (effect) => {
    if (effect === "app.remove") host.apps = [];
  };
  await agent.removeApp("shop");
  host.silent.add(web(v1, 0));
  await pass(60_000);
  expect(revivals()).toEqual([]);
});
