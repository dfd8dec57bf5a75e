import { existsSync } from "node:fs";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { childrenOf } from "../../agent/host/exec/processes.ts";
import { quickShop } from "../fixtures/shop.ts";
import { runningWith, uniqueNap } from "../harness/processes.ts";
import { type HelperSocket, idsOf, users } from "../harness/two-processes.ts";
import { Fleet, get, staticFilesOf, versionOf } from "./hosts.ts";

/** The agent as a user of its own without any capability, and a helper of root's that is started for its connection. */
let fleet: Fleet;
let helper: HelperSocket;

beforeAll(async () => {
  fleet = await Fleet.start(1, { shop: { ...quickShop, python: { wheels: "vendor" } } });
  helper = await host().agent.startWithHelper();
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

function host() {
  const [first] = fleet.hosts;
  if (first === undefined) throw new Error("no host");
  return first;
}

const home = () => join(host().agent.directory, "data/apps/shop");
const statusOf = (pid: number | undefined) => readFile(`/proc/${pid}/status`, "utf8");
const uidOf = async (pid: number | undefined) => Number(/^Uid:\s+(\d+)/m.exec(await statusOf(pid))?.[1]);

const command = `sh -c 'id -un > "$CUTOVER_SHARED/ran-as"; touch written-by-command 2>/dev/null || echo read-only > "$CUTOVER_SHARED/release"'`;

test("an agent without any right deploys, and what it deployed is the agent's or root's and runs as the app's user", async () => {
  const { agent, site } = host();
  for (const version of ["v1", "v2"]) {
    const { outputs } = await fleet.deploy({ version, config: { release: { command }, keep_warm: "0s" } });
    expect(await versionOf(site)).toMatchObject({ version, release: outputs.release });
  }
  expect(await uidOf(agent.pid)).toBe(idsOf(users.agent).uid);
  expect(await statusOf(agent.pid)).toMatch(/^CapEff:\s+0+$/m);
  expect(await readFile(join(home(), "shared/ran-as"), "utf8")).toBe(`${users.app}\n`);
  expect(await readFile(join(home(), "shared/release"), "utf8")).toBe("read-only\n");
  const { instances, live } = await agent.appView();
  for (const { pid } of instances) expect(await uidOf(pid)).toBe(idsOf(users.app).uid);
  const [environment = ""] = await readdir(join(home(), "venvs"));
  const own = idsOf(users.agent).uid;
  for (const [path, owner] of [
    [`releases/${live}`, own],
    [`releases/${live}/app/shop/wsgi.py`, own],
    [`venvs/${environment}/bin/gunicorn`, 0],
  ] as const) {
    const { uid, mode } = await lstat(join(home(), path));
    expect([path, uid, mode & 0o022]).toEqual([path, owner, 0]);
  }
  for (const path of await staticFilesOf(site)) expect((await get(site, path)).status).toBe(200);
  expect(helper.log()).toBe("");
});

test("a helper that is killed in the middle of a request ends the deploy alone, with a clear error", async () => {
  const { site } = host();
  const before = { runs: await readdir(join(home(), "run")), releases: await readdir(join(home(), "releases")) };
  const nap = uniqueNap();
  await fleet.checkout({
    version: "v3",
    config: { release: { command: `sh -c 'touch "$CUTOVER_SHARED/began"; setsid sleep ${nap}; :'` } },
  });
  const deploying = fleet.action();
  const began = join(home(), "shared/began");
  for (const end = Date.now() + 50_000; !existsSync(began) && Date.now() < end; ) await sleep(20);
  for (const pid of await childrenOf(helper.pid)) process.kill(pid, "SIGKILL");
  const { exitCode, stdout } = await deploying;
  expect(exitCode).toBe(1);
  expect(stdout).toContain("helper_unreachable");
  expect(stdout).toContain("it ended in the middle of its work");
  expect(runningWith("sleep", nap)).toEqual([]);
  expect(await readdir(join(home(), "run"))).toEqual(before.runs);
  expect(await readdir(join(home(), "releases"))).toEqual(before.releases);
  expect((await versionOf(site)).version).toBe("v2");
  await fleet.deploy({ version: "v4", config: { keep: 2, keep_warm: "0s" } });
  expect((await versionOf(site)).version).toBe("v4");
});

test("a rollback, an agent that was killed, and the removal of the app leave what they should", async () => {
  const { agent, site } = host();
  expect(await readdir(join(home(), "releases"))).toHaveLength(2);
  const { code, stdout, stderr } = await agent.cutover("rollback", "shop");
  expect(code, `${stdout}${stderr}`).toBe(0);
  expect((await versionOf(site)).version).toBe("v2");
  await agent.kill();
  await agent.startAgain();
  expect((await agent.appView()).live).not.toBeNull();
  expect((await versionOf(site)).version).toBe("v2");
  const removed = await agent.cutover("app", "remove", "shop", "--yes");
  expect(removed.code, `${removed.stdout}${removed.stderr}`).toBe(0);
  // What visitors left stays.
  expect(await readdir(home())).toEqual(["shared"]);
  expect(await readdir(join(agent.directory, "etc/supervisor/conf.d"))).toEqual([]);
  expect(await readdir(join(agent.directory, "etc/nginx/conf.d"))).toEqual([]);
});
