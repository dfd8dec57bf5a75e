import { Readable } from "node:stream";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { DeployRequest } from "../../../../agent/contracts/service.ts";
import { Deployments } from "../../../../agent/deploy/deployments.ts";
import { CutoverError } from "../../../../shared/errors.ts";
import { FakeHost } from "../../../fakes/ports.ts";

const cold = { keep_warm: "0s", keep: 5 };
const call = { by: { subject: "test" }, waitMs: 0, signal: new AbortController().signal };
const id = (number: number) => `20261121T10${String(number).padStart(2, "0")}00Z-1111111`;

/** A host with so many releases of ten bytes, the last one live. */
async function hostWith(releases: number, settings: object = cold) {
  const host = new FakeHost();
  const agent = new Deployments({ ports: host.ports, log: pino({ level: "silent" }) });
  const deploy = async (number: number, more: Partial<DeployRequest> = {}) => {
    const { deployment } = await agent.deploy("shop", host.request(id(number), settings, more));
    return agent.settled(deployment, 10_000, new AbortController().signal);
  };
  for (let number = 1; number <= releases; number++)
    expect(await deploy(number)).toMatchObject({ outcome: "succeeded" });
  const there = () => [...host.disk.releases.keys()].toSorted();
  return { host, agent, deploy, there };
}

async function refusal(promise: Promise<unknown>): Promise<CutoverError> {
  const thrown = await promise.catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(CutoverError);
  return thrown as CutoverError;
}

test("pruning is by state and by `keep`: good ones beyond it go, what is in use stays", async () => {
  const { host, deploy, there } = await hostWith(3, { keep_warm: "1h", keep: 2 });
  // The third is live and the second warm.
  expect(there()).toEqual([2, 3].map(id));
  host.answers.set(id(4), { kind: "status", status: 500, body: "", location: undefined });
  expect(await deploy(4)).toMatchObject({ outcome: "failed" });
  expect(await deploy(5, { activate: false })).toMatchObject({ outcome: "staged" });
  // A failed release is gone at once, and a staged one is not counted.
  expect(there()).toEqual([2, 3, 5].map(id));
  expect(await deploy(6)).toMatchObject({ outcome: "succeeded" });
  expect(there()).toEqual([3, 6].map(id));
});

test("who deploys and goes back again and again keeps no more than `keep` of what was rolled back, and the one before", async () => {
  const { host, agent, deploy, there } = await hostWith(2, { ...cold, keep: 3 });
  const revert = async () => {
    const { deployment } = await agent.rollback("shop", call);
    return agent.settled(deployment, 10_000, call.signal);
  };
  for (let number = 3; number <= 7; number++) {
    await deploy(number);
    expect(await revert()).toMatchObject({ outcome: "succeeded", release: id(2) });
  }
  expect(there()).toEqual([1, 2, 5, 6, 7].map(id));
  // The second was good, and pages of it are still open.
  expect(await revert()).toMatchObject({ outcome: "succeeded", release: id(1) });
  expect(host.disk.links).toMatchObject({ current: id(1), previous: id(2) });
  expect(there()).toEqual([1, 2, 5, 6, 7].map(id));
});

test("environments, logs and events go with what used them", async () => {
  const host = new FakeHost();
  const kept: Record<string, string[]> = {};
  const { ports } = host;
  ports.environments.prune = async (_app, releases) => {
    kept.environments = releases;
  };
  ports.logs.prune = async (_app, runs) => {
    kept.logs = runs;
  };
  ports.events.prune = async (_app, deployments) => {
    kept.events = deployments;
  };
  const agent = new Deployments({ ports, log: pino({ level: "silent" }) });
  for (let number = 1; number <= 4; number++) {
    const { deployment } = await agent.deploy("shop", host.request(id(number), { keep_warm: "0s", keep: 2 }));
    await agent.settled(deployment, 10_000, new AbortController().signal);
  }
  expect(kept.environments?.toSorted()).toEqual([3, 4].map(id));
  expect([...new Set(kept.logs)].toSorted()).toEqual([3, 4].map(id));
  expect(kept.events).toHaveLength(4);
  await agent.close();
});

test("the disk is checked before an upload is read: needed, free, and what pruning would give", async () => {
  const { host, deploy, there } = await hostWith(4);
  host.diskBytes = 45;
  let read = false;
  const body = () => {
    read = true;
    return Readable.from([]);
  };
  const error = await refusal(deploy(5, { length: 3000, body }));
  expect(error).toMatchObject({ code: "disk_full" });
  expect(error.message).toBe(
    "The release needs 3 kB with the reserve; 5 B are free, and no older release can be removed.",
  );
  expect(error.fix).toMatch(/Free 3 kB .*cutover releases shop.*`keep`.*`limits.free`/);
  expect(error.unchanged).toMatch(/live release goes on serving/);
  expect(read).toBe(false);
  expect(there()).toHaveLength(4);
});

test("what pruning would give is told also where it is not enough, and then nothing is removed in vain", async () => {
  const { host, deploy, there } = await hostWith(5);
  host.diskBytes = 55;
  const error = await refusal(deploy(6, { length: 3000 }));
  expect(error.message).toBe(
    "The release needs 3 kB with the reserve; 5 B are free, and removing older releases would give 10 B.",
  );
  expect(there()).toHaveLength(5);
});

test("older releases are removed first when that makes room, and no more of them than the deployment would remove", async () => {
  const { host, deploy, there } = await hostWith(5);
  host.diskBytes = 50;
  const view = await deploy(6, { length: 5 });
  expect(view).toMatchObject({ outcome: "succeeded" });
  expect(there()).toEqual([2, 3, 4, 5, 6].map(id));
  const notices = (host.disk.events.get(view.id) ?? []).flatMap((event) =>
    event.type === "notice" ? [event.message] : [],
  );
  expect(notices).toContain("older releases were removed to make room: 10 B");
});

test("making room leaves the live release and the one to go back to", async () => {
  const { host, deploy, there } = await hostWith(3, { ...cold, keep: 2 });
  expect(there()).toEqual([2, 3].map(id));
  host.diskBytes = 20;
  expect(await refusal(deploy(4))).toMatchObject({ code: "disk_full" });
  expect(there()).toEqual([2, 3].map(id));
});

test("making room leaves the base of a thin bundle", async () => {
  const { host, deploy, there } = await hostWith(5);
  host.diskBytes = 50;
  // The oldest is the base, so it stays, and there is nothing else to remove.
  const error = await refusal(deploy(6, { base: id(1) }));
  expect(error).toMatchObject({
    code: "disk_full",
    message: expect.stringContaining("no older release can be removed"),
  });
  expect(there()).toEqual([1, 2, 3, 4, 5].map(id));
});

test("a first deployment that does not fit says so", async () => {
  const { host, deploy, there } = await hostWith(0);
  host.diskBytes = 5;
  expect(await refusal(deploy(1))).toMatchObject({ code: "disk_full" });
  expect(there()).toEqual([]);
});

test("logs are bounded by size: a command that prints without end fills neither the memory nor the events", async () => {
  const host = new FakeHost();
  const { ports } = host;
  ports.privileged.runCommand = async (_spec, { onOutput, source }) => {
    for (let line = 0; line < 20_000; line++) onOutput(source, "x".repeat(1000));
    return 0;
  };
  const agent = new Deployments({ ports, log: pino({ level: "silent" }) });
  const request = host.request(id(1), { ...cold, release: { command: "python manage.py migrate" } });
  const { deployment } = await agent.deploy("shop", request);
  const view = await agent.settled(deployment, 10_000, new AbortController().signal);
  expect(view.outcome).toBe("succeeded");
  const events = host.disk.events.get(deployment) ?? [];
  expect(JSON.stringify(events).length).toBeLessThan(6 * 1024 * 1024);
  expect(events.filter((event) => event.type === "notice" && /more output/.test(event.message))).toHaveLength(1);
  expect(events.at(-1)?.type).toBe("end");
  await agent.close();
});
