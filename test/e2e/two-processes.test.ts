import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type HelperSocket, idsOf, users } from "../harness/two-processes.ts";
import { Fleet, get, staticFilesOf, versionOf } from "./hosts.ts";

/** The agent as a user of its own without any capability, and a helper of root's that is started for its connection. */
let fleet: Fleet;
let helper: HelperSocket;

beforeAll(async () => {
  fleet = await Fleet.start(1);
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

test("an agent without any right deploys, and what it deployed is root's and runs as the app's user", async () => {
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
  for (const path of [`releases/${live}`, `releases/${live}/app/shop/wsgi.py`, `venvs/${environment}/bin/gunicorn`]) {
    const { uid, mode } = await lstat(join(home(), path));
    expect([path, uid, mode & 0o022]).toEqual([path, 0, 0]);
  }
  for (const path of await staticFilesOf(site)) expect((await get(site, path)).status).toBe(200);
  expect(helper.log()).toBe("");
});
