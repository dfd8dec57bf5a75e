import { execFileSync, spawn } from "node:child_process";
import { chownSync, lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HelperHost } from "../../harness/helper-host.ts";
import { systemPath } from "../../harness/places.ts";
import { processId } from "../../harness/processes.ts";
import { runProgram } from "../../harness/run.ts";
import { asAgent, idsOf, users } from "../../harness/two-processes.ts";

/** T5 and the group of nginx: the agent opens the instances' sockets, and has no group but its own. */
const run = "20261121T103000Z-3f2c1ab";
const nginx = idsOf(users.nginx);
const app = idsOf(users.app);
let host: HelperHost;

beforeAll(async () => {
  host = await HelperHost.open();
  const talk = host.talk();
  await talk.done("prepareApp", { app: "shop" });
  talk.end();
  await talk.ended;
});
afterAll(() => host?.[Symbol.asyncDispose]());

const as = (user: string) => {
  const { uid, gid } = idsOf(user);
  return ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--inh-caps=-all", "--"];
};

/** Listens as a server of the app's user does. @param mode of the socket, as the umask leaves it */
async function listen(path: string, mode: string): Promise<void> {
  const code = `import os, socket, sys, time
os.umask(0o777 & ~int(sys.argv[2], 8))
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(8)
print("listening", flush=True)
time.sleep(60)`;
  const [program = "", ...args] = [...as(users.app), "/usr/bin/python3", "-c", code, path, mode];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], env: { PATH: systemPath } });
  if (child.pid !== undefined) host.scratch.adopt(processId(child.pid));
  await new Promise((resolve) => child.stdout.once("data", resolve));
}

async function mayConnect(words: string[], socket: string): Promise<boolean> {
  const code = "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
  return (await runProgram([...words, "/usr/bin/python3", "-c", code, socket])).code === 0;
}

describe("a run that an agent of an earlier release started, in nginx's group:", () => {
  const directory = () => host.layout().runDir(run);
  const socket = (name: string) => join(directory(), `${name}.sock`);
  const victim = () => join(host.scratch.path, "victim.sock");

  test("its sockets open for the agent when the new one starts, and nothing else does", async () => {
    mkdirSync(directory(), { mode: 0o750 });
    chownSync(directory(), app.uid, nginx.gid);
    execFileSync("chmod", ["2750", directory()]);
    await listen(socket("web-0"), "770");
    await listen(socket("web-1"), "777");
    // A second name and a link of somebody else's socket, where the kernel's protection is off.
    execFileSync("/usr/bin/python3", [
      "-c",
      "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
      victim(),
    ]);
    execFileSync("ln", [victim(), socket("foreign")]);
    symlinkSync(victim(), socket("linked"));
    const before = lstatSync(victim());

    expect(await mayConnect(asAgent(), socket("web-0"))).toBe(false);
    const talk = host.talk();
    await talk.done("prepareHost", {});
    talk.end();
    for (const name of ["web-0", "web-1"]) {
      expect(await mayConnect(asAgent(), socket(name))).toBe(true);
      expect(await mayConnect(as(users.nginx), socket(name))).toBe(true);
      expect(await mayConnect(as(users.otherApp), socket(name))).toBe(false);
    }
    expect(lstatSync(victim())).toMatchObject({ mode: before.mode, ctimeMs: expect.any(Number) });
    expect(execFileSync("getfacl", ["--absolute-names", victim()], { encoding: "utf8" })).not.toContain("user:daemon");

    // What the app starts later, such as after a crash.
    await listen(socket("web-2"), "770");
    expect(await mayConnect(asAgent(), socket("web-2"))).toBe(true);
    expect(await mayConnect(as(users.nginx), socket("web-2"))).toBe(true);
    expect(await mayConnect(as(users.otherApp), socket("web-2"))).toBe(false);
    rmSync(socket("foreign"));
    rmSync(socket("linked"));
  });

  test("a link in the place of a run is not followed", async () => {
    const other = host.layout().runDir("20261122T103000Z-3f2c1ab");
    mkdirSync(join(host.scratch.path, "elsewhere"));
    symlinkSync(join(host.scratch.path, "elsewhere"), other);
    await host
      .talk()
      .done("prepareHost", {})
      .catch(() => undefined);
    const list = ["--absolute-names", join(host.scratch.path, "elsewhere")];
    expect(execFileSync("getfacl", list, { encoding: "utf8" })).not.toMatch(/^user:\w/m);
    rmSync(other);
  });
});
