import { execFileSync } from "node:child_process";
import { lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quickShop } from "../fixtures/shop.ts";
import { Fleet, get, staticFilesOf, versionOf } from "./hosts.ts";

/** A host that was deployed to by an agent from before the store: its releases are whole copies that belong to root. */
let fleet: Fleet;
let old: string;

beforeAll(async () => {
  fleet = await Fleet.start(1, { shop: { ...quickShop, python: { wheels: "vendor" }, keep_warm: "0s" } });
  await host().agent.startWithHelper();
  await fleet.deploy({ version: "v1" });
  const { live } = await host().agent.appView();
  old = live ?? "";
  await makeOld(old);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

const home = () => join(host().agent.directory, "data/apps/shop");
const releaseOf = (id: string) => join(home(), "releases", id);

/** As the agent before the store left it after `seal`. */
async function makeOld(release: string): Promise<void> {
  await host().agent.kill();
  const [place, copy] = [releaseOf(release), `${releaseOf(release)}.copy`];
  // Without --preserve=links every file is one of its own.
  execFileSync("cp", ["-dR", "--preserve=mode,timestamps", place, copy]);
  rmSync(place, { recursive: true });
  execFileSync("mv", [copy, place]);
  execFileSync("chown", ["-hR", "0:0", place]);
  execFileSync("chmod", ["-R", "u=rwX,go=rX", place]);
  rmSync(join(home(), "objects"), { recursive: true });
  await host().agent.startAgain();
}

test("a release from before the store is served, and is the base of a thin bundle", async () => {
  expect((await versionOf(host().site)).version).toBe("v1");
  const { stdout } = await fleet.deploy({ version: "v2" });
  expect(stdout).not.toContain("everything is sent");
  expect((await versionOf(host().site)).version).toBe("v2");
  const { live } = await host().agent.appView();
  expect(lstatSync(join(releaseOf(live ?? ""), "app/manage.py")).nlink).toBe(2);
  expect(lstatSync(join(releaseOf(old), "app/manage.py"))).toMatchObject({ nlink: 1, uid: 0 });
});

test("it takes the traffic again, on fresh instances too, and is as it was unpacked", async () => {
  const { agent, site } = host();
  for (const words of [
    ["rollback", "shop", "--yes"],
    ["redeploy", "shop", old],
  ]) {
    const { code, stdout, stderr } = await agent.cutover(...words);
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(await versionOf(site)).toMatchObject({ version: "v1", release: old });
    for (const path of await staticFilesOf(site)) expect((await get(site, path)).status, path).toBe(200);
  }
  const { code, stdout } = await agent.cutover("verify", "shop");
  expect(code, stdout).toBe(0);
  expect(lstatSync(releaseOf(old)).uid).toBe(0);
});

test("it goes by itself as new releases come", async () => {
  for (const version of ["v3", "v4"]) await fleet.deploy({ version, config: { keep: 2 } });
  const { releases } = await host().agent.appView();
  expect(releases.map(({ id }) => id)).not.toContain(old);
  expect(lstatSync(releaseOf(old), { throwIfNoEntry: false })).toBeUndefined();
});
