import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { RunPorts } from "../../../../agent/host/net/run-ports.ts";
import { freePorts } from "../../../harness/ports.ts";
import { release, scratch } from "../scratch.ts";

const request = (ports: number[], parts: { app?: string; run?: string; count?: number } = {}) => ({
  app: "shop",
  run: release,
  count: 1,
  allowed: async () => ({ ports, file: "/etc/cutover/apps/shop.yml" }),
  ...parts,
});

async function listen(port: number, host: string): Promise<void> {
  const server = createServer().listen(port, host);
  onTestFinished(() => void server.close());
  await once(server, "listening");
}

test("a run has the same ports until they are forgotten, also for a later agent", async () => {
  const data = scratch();
  const range = await freePorts(4);
  const ports = new RunPorts(data);
  const chosen = await ports.of(request(range, { count: 2 }));
  expect(chosen).toEqual(range.slice(0, 2));
  // What listens there by now are the run's own instances.
  await listen(chosen[0] ?? 0, "127.0.0.1");
  const later = new RunPorts(data);
  expect(await later.of(request([], { count: 2 }))).toEqual(chosen);
  expect(await later.runs("shop")).toEqual([release]);
  const file = join(data, "apps/shop/ports", `${release}.json`);
  expect(statSync(file).mode & 0o777).toBe(0o644);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ ports: chosen });
  await later.forget("shop", release);
  await later.forget("shop", release);
  expect(existsSync(file)).toBe(false);
  expect(await later.runs("shop")).toEqual([]);
});

test("no port is chosen that another run has, of whatever app, nor the ones that were given up last", async () => {
  const ports = new RunPorts(scratch());
  const range = await freePorts(6);
  const all = await Promise.all([
    ports.of(request(range, { count: 2 })),
    ports.of(request(range, { count: 2, app: "blog" })),
    ports.of(request(range, { run: `${release}.2` })),
  ]);
  expect(all.flat().toSorted()).toEqual(range.slice(0, 5).toSorted());
  await ports.forget("shop", release);
  expect(await ports.of(request(range, { run: `${release}.3` }))).toEqual([range[5]]);
});

test.each(["127.0.0.1", "0.0.0.0", "::"])("a port that another program listens on at %s is left out", async (host) => {
  const [taken = 0, free = 0] = await freePorts(2);
  await listen(taken, host);
  expect(await new RunPorts(scratch()).of(request([taken, free]))).toEqual([free]);
});

test("when too few are free, it is told who has them", async () => {
  const ports = new RunPorts(scratch());
  const [first = 0, second = 0] = await freePorts(2);
  await ports.of(request([first], { app: "blog" }));
  await listen(second, "127.0.0.1");
  await expect(ports.of(request([first, second], { count: 2 }))).rejects.toMatchObject({
    code: "ports_exhausted",
    message: `shop needs 2 free ports, and 0 of its 2 are free. Taken: ${first} (blog ${release}), ${second} (another program).`,
    fix: expect.stringContaining("/etc/cutover/apps/shop.yml"),
  });
  // A failure leaves nothing, and the next may succeed.
  const [third = 0] = await freePorts(1);
  expect(await ports.of(request([third]))).toEqual([third]);
});

test("a port that was taken between the choice and the start is given up for another", async () => {
  const ports = new RunPorts(scratch());
  const range = await freePorts(4);
  expect(await ports.of(request(range, { count: 2 }))).toEqual(range.slice(0, 2));
  expect(await ports.ensureFree(request(range, { count: 2 }))).toEqual(range.slice(0, 2));
  await listen(range[1] ?? 0, "127.0.0.1");
  expect(await ports.ensureFree(request(range, { count: 2 }))).toEqual(range.slice(2));
  expect(await ports.of(request([], { count: 2 }))).toEqual(range.slice(2));
});
