import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Fleet, versionOf } from "./hosts.ts";

let fleet: Fleet;
const migrate = { release: { command: `sh -c 'echo ran >> "$CUTOVER_SHARED/ran"'` }, keep_warm: "10m" } as const;

beforeAll(async () => {
  fleet = await Fleet.start(2);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function versions(): Promise<string[]> {
  return Promise.all(fleet.hosts.map(async ({ site }) => (await versionOf(site)).version));
}

async function instancesRunning(): Promise<number[]> {
  return Promise.all(fleet.hosts.map(async ({ agent }) => (await agent.appView()).instances.length));
}

test("all hosts become live, and the release command runs once, on the first", async () => {
  const { outputs } = await fleet.deploy({ version: "v1", config: migrate });
  expect(await versions()).toEqual(["v1", "v1"]);
  const outcomes = Object.values<{ outcome: string }>(JSON.parse(outputs.result ?? "{}")).map(({ outcome }) => outcome);
  expect(outcomes).toEqual(["succeeded", "succeeded"]);
  const ran = fleet.hosts.map(({ agent }) => readFile(join(agent.directory, "data/apps/shop/shared/ran"), "utf8"));
  expect(await Promise.allSettled(ran)).toMatchObject([
    { status: "fulfilled", value: "ran\n" },
    { status: "rejected", reason: { code: "ENOENT" } },
  ]);
});

test("if one host fails before, none activates, and nothing is left on the others", async () => {
  const [, second] = fleet.hosts;
  const file = join(second?.agent.directory ?? "", "etc/apps/shop.yml");
  const settings = await readFile(file, "utf8");
  const config = { ...migrate, env: { SHOP_ALLOWED_HOSTS: "shop.example.com,127.0.0.1", BREAK: "no" } };
  await fleet.checkout({ version: "v2", config: { ...config, site: { server_name: ["shop.example.com"] } } });
  await writeFile(file, settings.replace("shop.example.com", "other.example.com"));
  try {
    const { exitCode, outputs, annotations } = await fleet.action();
    expect(exitCode).toBe(1);
    const hosts = Object.values<{ outcome: string; error?: { code: string } }>(JSON.parse(outputs.result ?? "{}"));
    expect(hosts[0]?.outcome).toBe("aborted");
    expect(hosts[1]).toMatchObject({ outcome: "failed", error: { code: "domain_not_allowed" } });
    expect(annotations.map(({ message }) => message).join("\n")).toContain("domains:");
    expect(await versions()).toEqual(["v1", "v1"]);
    expect(await instancesRunning()).toEqual([2, 2]);
  } finally {
    await writeFile(file, settings);
  }
});

test("if an activation fails, the hosts that were done go back", async () => {
  const [, second] = fleet.hosts;
  const foreign = join(second?.agent.directory ?? "", "etc/nginx/conf.d/foreign.conf");
  await writeFile(foreign, "this is no nginx configuration\n");
  try {
    await fleet.checkout({ version: "v3", config: { ...migrate, site: { client_max_body_size: "60m" } } });
    const { exitCode, outputs, stdout } = await fleet.action();
    expect(exitCode, stdout).toBe(1);
    const hosts = Object.values<{ outcome: string; error?: { code: string; message: string } }>(
      JSON.parse(outputs.result ?? "{}"),
    );
    expect(hosts.map(({ outcome }) => outcome)).toEqual(["rolled_back", "failed"]);
    expect(hosts[1]?.error).toMatchObject({
      code: "nginx_config_broken",
      message: expect.stringContaining("foreign.conf"),
    });
    expect(await versions()).toEqual(["v1", "v1"]);
  } finally {
    await rm(foreign);
  }
  await fleet.deploy({ version: "v4", config: migrate });
  expect(await versions()).toEqual(["v4", "v4"]);
});
