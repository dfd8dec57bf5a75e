import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestHost } from "../support.ts";

let host: TestHost;

beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

test("drain on and off need no agent, and say what a load balancer hears", async () => {
  await mkdir(host.path("etc"));
  const file = host.path("etc/leaves");
  expect(await host.run(["drain", "on"])).toMatchObject({ exit: 0, out: expect.stringContaining("answers 503") });
  expect(existsSync(file)).toBe(true);
  expect(JSON.parse((await host.run(["drain", "status", "--json"])).out)).toEqual({ leaves: true });
  for (const _ of [1, 2]) expect(await host.run(["drain", "off"])).toMatchObject({ exit: 0 });
  expect(existsSync(file)).toBe(false);
});

test("a drain that is not allowed changes nothing, and says so", async () => {
  const { exit, err } = await host.run(["drain", "on"]);
  expect([exit, err]).toEqual([1, expect.stringContaining("hears what it heard before")]);
});
