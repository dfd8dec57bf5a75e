import { readdir, rm, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { appLayout } from "../../agent/host/store/layout.ts";
import { BadHost, watchSite } from "./bad-host.ts";
import { versionOf } from "./hosts.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "upkeep" });
  const { exitCode, stdout } = await host.run(await host.project({ version: "v2" }));
  expect(exitCode, stdout).toBe(0);
});
afterAll(() => host?.[Symbol.asyncDispose]());

const layout = () => appLayout(embeddedLayout(host.agent.directory).data, "shop");

test("a rollback to a release whose environment was pruned builds it again and serves", async () => {
  for (const key of await readdir(layout().venvs)) await rm(layout().venv(key), { recursive: true });
  const { code, stdout } = await host.agent.cutover("rollback", "shop");
  expect(code, stdout).toBe(0);
  expect(stdout).toContain("or its Python changed; it is built again");
  expect((await versionOf(host.site)).version).toBe("v1");
});

test.each([
  ["torn", '{"format": 1, "app": "sh'],
  ["empty", ""],
  ["of a newer version", '{"format": 2}'],
  ["gone", undefined],
])("a state file that is %s holds its app, which serves on, until it is repaired", async (_how, text) => {
  const before = await host.agent.appView();
  await host.agent.kill();
  if (text === undefined) await rm(layout().state);
  else await writeFile(layout().state, text);
  const watch = watchSite(host.site);
  try {
    await host.agent.start();
    const status = await host.agent.cutover("status");
    expect(status.stdout).toMatch(/held\s+The state/);
    const refused = await host.agent.cutover("redeploy", "shop");
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("cutover repair shop")]);
    const repaired = await host.agent.cutover("repair", "shop");
    expect(repaired.code, repaired.stderr).toBe(0);
    expect(repaired.stdout).toContain(`found ${before.live} running with the traffic: it is live`);
  } finally {
    await watch.stop();
  }
  expect(watch.seen()).toHaveLength(1);
  const after = await host.agent.appView();
  expect(after.live).toBe(before.live);
  expect(after.held).toBeUndefined();
  expect(after.instances.map(({ pid, slots }) => [pid, slots])).toEqual(
    before.instances.map(({ pid, slots }) => [pid, slots]),
  );
});

test("after a repair the next deploy works, and a rollback from it too", async () => {
  const { live } = await host.agent.appView();
  const { exitCode, stdout } = await host.run(await host.project({ version: "v3" }));
  expect(exitCode, stdout).toBe(0);
  expect((await versionOf(host.site)).version).toBe("v3");
  expect((await host.agent.cutover("rollback", "shop")).code).toBe(0);
  expect((await versionOf(host.site)).release).toBe(live);
});

test("a pinned release stays on the disk while others are pruned", async () => {
  const { live, releases } = await host.agent.appView();
  const pinned = releases.find(({ id }) => id !== live)?.id ?? "";
  expect((await host.agent.cutover("pin", "shop", pinned)).code).toBe(0);
  for (const version of ["v4", "v5"]) {
    const { exitCode, stdout } = await host.run(await host.project({ version, config: { keep: 2 } }));
    expect(exitCode, stdout).toBe(0);
  }
  const left = (await readdir(layout().releases)).toSorted();
  expect(left).toHaveLength(3);
  expect(left).toContain(pinned);
});
