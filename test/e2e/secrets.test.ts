import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Fleet, get, versionOf } from "./hosts.ts";

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start(1);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

const seenBy = async (name: string) => (await get(host().site, `/env?name=${name}`)).text.slice(0, -1);

const secrets = {
  QUOTES: `it's "so" so`,
  PERCENT: "100%(x)s %%",
  DOLLAR: "$HOME $(id) $$",
  BACKSLASH: "C:\\new\\table\\",
  LINES: "-----BEGIN-----\nabc+/=\n-----END-----\n",
  UNICODE: "Grüße, 世界 🎉",
  HASH: "#a # b;c",
  SPACES: "  around\t",
  EMPTY: "",
};

test("secrets reach the app's process as they are, above cutover.yml, and changed ones with a redeploy", async () => {
  const { agent, site } = host();
  await agent.cutover("env", "set", "shop", "GREETING=from the host");
  await fleet.deploy({ version: "v1" });
  expect(await seenBy("GREETING")).toBe("from the host");

  const words = Object.entries(secrets).map(([name, value]) => `${name}=${value}`);
  const set = await agent.cutover("env", "set", "shop", ...words);
  expect([set.code, set.stderr]).toEqual([0, ""]);
  expect(set.stdout).toContain("until `cutover redeploy shop`");
  const before = await versionOf(site);
  expect(await seenBy("QUOTES")).toBe("");

  const redeployed = await agent.cutover("redeploy", "shop");
  expect([redeployed.code, redeployed.stderr]).toEqual([0, ""]);
  for (const [name, value] of Object.entries(secrets)) expect([name, await seenBy(name)]).toEqual([name, value]);
  const after = await versionOf(site);
  expect(after.release).toBe(before.release);
  expect(after.pid).not.toBe(before.pid);

  await agent.cutover("env", "unset", "shop", "GREETING", "QUOTES");
  await agent.cutover("redeploy", "shop");
  expect(await seenBy("GREETING")).toBe("Fresh every day");
  expect(await seenBy("QUOTES")).toBe("");
});

test("no value stands in the agent's log, in what the commands print, or in a file that others may read", async () => {
  const { agent } = host();
  const listed = await agent.cutover("env", "list", "shop", "--json");
  expect(JSON.parse(listed.stdout)).toMatchObject({
    names: Object.keys(secrets)
      .filter((name) => name !== "QUOTES")
      .toSorted(),
  });
  const status = await agent.cutover("status", "shop", "--json");
  for (const text of [agent.log, listed.stdout, status.stdout]) {
    for (const value of [secrets.PERCENT, secrets.HASH, "abc+/="]) expect(text).not.toContain(value);
  }
  expect((await stat(join(agent.directory, "etc/apps/shop.env"))).mode & 0o777).toBe(0o600);
});

test("doctor finds nothing on a host that serves, but other supervisords of this machine, and the agent when it is gone", async () => {
  const { agent } = host();
  const findings = async () => {
    const { code, stdout } = await agent.cutover("doctor", "--json");
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: { check: string; what: string }[] };
    return {
      code,
      ok,
      checks: findings.filter(({ check }) => check !== "second-supervisord").map(({ check }) => check),
    };
  };
  expect(await findings()).toEqual({ code: 0, ok: true, checks: [] });
  await agent.kill();
  expect(await findings()).toEqual({ code: 1, ok: false, checks: ["agent"] });
  const { stdout } = await agent.cutover("doctor");
  expect(stdout).toContain("Then start it: `systemctl start cutover-agent`");
  await agent.start();
});
