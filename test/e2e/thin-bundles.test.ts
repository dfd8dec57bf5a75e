import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { appLayout } from "../../agent/host/store/layout.ts";
import { quickShop, type ShopOptions } from "../fixtures/shop.ts";
import { Scratch } from "../harness/scratch.ts";
import { Fleet, get, type Host, staticFilesOf, versionOf } from "./hosts.ts";

const cold = { keep_warm: "0s" } as const;

let fleet: Fleet;
let temp: Scratch;

beforeAll(async () => {
  temp = new Scratch("temp");
  fleet = await Fleet.start(2, { shop: { ...quickShop, python: { wheels: "vendor" } } });
});
afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});

/** The first host, and one that gets its first release later. */
function hosts(): [Host, Host] {
  const [first, second] = fleet.hosts;
  if (first === undefined || second === undefined) throw new Error("no hosts");
  return [first, second];
}

function releaseDirectory({ agent }: Host, release: string): string {
  return appLayout(join(agent.directory, "data"), "shop").release(release);
}

/** Deploys a version, keeping the archives. @returns what was packed, in bytes, with the thin ones under "thin" */
async function deploy(options: ShopOptions, inputs: Record<string, string> = {}) {
  const before = new Set(await readdir(temp.path));
  await fleet.checkout({ config: cold, ...options });
  const result = await fleet.action(inputs, { RUNNER_TEMP: temp.path });
  expect(result.exitCode, result.stdout).toBe(0);
  const packed: { thin: number[]; whole: number[] } = { thin: [], whole: [] };
  for (const name of (await readdir(temp.path)).filter((each) => each.endsWith(".tar.zst") && !before.has(each))) {
    packed[name.includes(".thin-") ? "thin" : "whole"].push((await stat(join(temp.path, name))).size);
  }
  return { ...result, packed, release: result.outputs.release ?? "" };
}

test("the first deploy sends everything, the second next to nothing, and the files of both are served", async () => {
  const [{ agent, site }] = hosts();
  const first = await deploy({ version: "v1" }, { hosts: agent.url });
  expect(first.packed).toEqual({ thin: [], whole: [expect.any(Number)] });
  const oldFiles = await staticFilesOf(site);

  const second = await deploy({ version: "v2" }, { hosts: agent.url });
  expect(second.packed).toEqual({ thin: [expect.any(Number)], whole: [] });
  expect(second.packed.thin[0]).toBeLessThan((first.packed.whole[0] ?? 0) / 50);
  expect(second.outputs.bundle).toContain(".thin-");
  expect(second.stdout).toMatch(
    new RegExp(`Packed [1-9] of \\d+ files as ${second.release}, .*; hosts with ${first.release} have the others\\.`),
  );
  expect(await versionOf(site)).toMatchObject({ version: "v2", release: second.release });
  const newFiles = await staticFilesOf(site);
  expect(newFiles).not.toEqual(oldFiles);
  for (const path of [...oldFiles, ...newFiles]) expect((await get(site, path)).status, path).toBe(200);
});

test("a file that stayed the same is the same file on the host, so that its ETag stays", async () => {
  const [{ agent, site }] = hosts();
  const [before = "", after = ""] = (await agent.appView()).releases.map(({ id }) => id).toReversed();
  const file = "static/static/shop/tile.svg";
  const [old, linked] = await Promise.all(
    [before, after].map((release) => stat(join(releaseDirectory(hosts()[0], release), file))),
  );
  expect(linked?.ino).toBe(old?.ino);
  const { headers } = await fetch(`${site}/static/shop/tile.svg`);
  expect(Date.parse(headers.get("last-modified") ?? "")).toBe(Math.floor((linked?.mtimeMs ?? 0) / 1000) * 1000);
});

test("of two hosts the one with nothing live gets everything, and next time both share one thin bundle", async () => {
  const { packed, release } = await deploy({ version: "v3" });
  expect(packed).toEqual({ thin: [expect.any(Number)], whole: [expect.any(Number)] });
  for (const { site } of hosts()) expect(await versionOf(site)).toMatchObject({ version: "v3", release });
  const next = await deploy({ version: "v4" });
  expect(next.packed).toEqual({ thin: [expect.any(Number)], whole: [] });
  for (const { site } of hosts()) expect((await versionOf(site)).version).toBe("v4");
});

test("a host whose live release was changed by hand gets everything after all", async () => {
  const [, second] = hosts();
  const { live } = await second.agent.appView();
  const file = join(releaseDirectory(second, live ?? ""), "app/manage.py");
  await writeFile(file, (await readFile(file, "utf8")).replace("#!", "#?"));
  const { packed, stdout, release } = await deploy({ version: "v5" });
  expect(packed).toEqual({ thin: [expect.any(Number)], whole: [expect.any(Number)] });
  const host = new URL(second.agent.url).host;
  expect(stdout).toContain(
    `${host}: everything is sent: The bundle leaves out files of the release ${live}, in which app/manage.py is no longer`,
  );
  for (const { site } of hosts()) expect(await versionOf(site)).toMatchObject({ version: "v5", release });
  expect(await readFile(join(releaseDirectory(second, release), "app/manage.py"), "utf8")).toMatch(/^#!/);
});

test("a key that may not read deploys, and sends everything", async () => {
  const [{ agent, site }] = hosts();
  const settings = join(agent.directory, "etc/apps/shop.yml");
  const text = await readFile(settings, "utf8");
  const parsed = parse(text) as { trust: object[] };
  const trust = parsed.trust.map((each) => ({ ...each, allow: ["deploy", "activate", "abort"] }));
  await writeFile(settings, stringify({ ...parsed, trust }));
  try {
    const { packed, stdout } = await deploy({ version: "v6" }, { hosts: agent.url });
    expect(packed).toEqual({ thin: [], whole: [expect.any(Number)] });
    expect(stdout).toContain("everything is sent: the token is not allowed to `read` there.");
    expect((await versionOf(site)).version).toBe("v6");
  } finally {
    await writeFile(settings, text);
  }
});

test("with `thin: false` everything is packed and sent, and nothing is asked", async () => {
  const [{ agent, site }] = hosts();
  const calls = () => agent.log.match(/\/releases\/live\/files/g)?.length ?? 0;
  const before = calls();
  const { packed } = await deploy({ version: "v7" }, { hosts: agent.url, thin: "false" });
  expect(packed).toEqual({ thin: [], whole: [expect.any(Number)] });
  expect((await versionOf(site)).version).toBe("v7");
  expect(calls()).toBe(before);
});
