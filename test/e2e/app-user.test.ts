import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quickShop } from "../fixtures/shop.ts";
import { Fleet, get, staticFilesOf, versionOf } from "./hosts.ts";

/**
 * As on a real host: an agent of root's, with agent.yml, an nginx and a supervisord that are not its own, and an app of
 * another user's. Debian has the user `games`, and its nginx workers are www-data.
 */
let fleet: Fleet;
const user = "games";

beforeAll(async () => {
  fleet = await Fleet.start(1, { shop: { ...quickShop, python: { wheels: "vendor" } } });
  await host().agent.startAsOnHost(user);
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

async function ownerOf(pid: number): Promise<number> {
  return Number(/^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

const games = 5;
const command = `sh -c 'id -un > "$CUTOVER_SHARED/ran-as"; touch written-by-command 2>/dev/null || echo read-only > "$CUTOVER_SHARED/release"'`;

test("instances and the release command run as the app's user, on files that it cannot write", async () => {
  const { agent, site } = host();
  for (const version of ["v1", "v2"]) {
    const { outputs } = await fleet.deploy({ version, config: { release: { command }, keep_warm: "0s" } });
    expect(await versionOf(site)).toMatchObject({ version, release: outputs.release });
  }
  const home = join(agent.directory, "data/apps/shop");
  expect(await readFile(join(home, "shared/ran-as"), "utf8")).toBe(`${user}\n`);
  expect(await readFile(join(home, "shared/release"), "utf8")).toBe("read-only\n");

  const { instances, live } = await agent.appView();
  for (const { pid = 0 } of instances) expect(await ownerOf(pid)).toBe(games);
  const [environment = ""] = await readdir(join(home, "venvs"));
  for (const path of [`releases/${live}`, `releases/${live}/app/shop/wsgi.py`, `venvs/${environment}/bin/gunicorn`]) {
    const { uid, mode } = await lstat(join(home, path));
    expect([path, uid]).toEqual([path, 0]);
    expect([path, mode & 0o022]).toEqual([path, 0]);
  }
  expect((await lstat(join(home, "state.json"))).mode & 0o077).toBe(0);
});

test("nginx's workers reach the sockets and the static files", async () => {
  const { site } = host();
  const files = await staticFilesOf(site);
  expect(files.length).toBeGreaterThan(0);
  for (const path of files) expect((await get(site, path)).status).toBe(200);
});

test("an environment that was pruned is built again for a release that the app's user cannot write any more", async () => {
  const { agent, site } = host();
  const home = join(agent.directory, "data/apps/shop");
  await rm(join(home, "venvs"), { recursive: true });
  for (const version of ["v1", "v2"]) {
    const { code, stdout, stderr } = await (version === "v1"
      ? agent.cutover("rollback", "shop")
      : agent.cutover("activate", "shop", (await agent.appView()).releases[0]?.id ?? ""));
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(stdout.includes("it is built again")).toBe(version === "v1");
    expect((await versionOf(site)).version).toBe(version);
  }
  const [environment = ""] = await readdir(join(home, "venvs"));
  const { uid, mode } = await lstat(join(home, "venvs", environment, "bin"));
  expect([uid, mode & 0o022]).toEqual([0, 0]);
});

test("an app without a user is refused, since it would run as root", async () => {
  const { agent } = host();
  await agent.writeAppSettings("shop", { trust: [{ key: host().key.publicLine }], listen: [8080] });
  await fleet.checkout({ version: "v3" });
  const { exitCode, annotations } = await fleet.action();
  expect(exitCode).toBe(1);
  expect(annotations.map(({ title }) => title).join()).toContain("host_settings_invalid");
  expect((await versionOf(host().site)).version).toBe("v2");
});
