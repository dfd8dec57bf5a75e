import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, HelperHost, type Talk } from "../harness/helper-host.ts";
import { helperProgram, node, repository, systemPath } from "../harness/places.ts";
import { processId } from "../harness/processes.ts";
import { runProgram } from "../harness/run.ts";
import { describeFiles } from "../harness/tree.ts";
import { idsOf, users } from "../harness/two-processes.ts";
import { brokenLines, refusedRequests, release } from "./agent-cases.ts";

/** An agent that somebody else controls, and a helper of root's: nothing but what the list allows, and nothing beside it. */
let host: HelperHost;
let talk: Talk;

beforeAll(async () => {
  host = await HelperHost.open();
  talk = host.talk();
  for (const app of ["shop", "other"]) await talk.done("prepareApp", { app });
  await host.unpack({ release, files: { "app/shop.py": "application = None\n", "app/pkg/deep/a.py": "" } });
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** There is one helper at a time: another one waits until the connection before has ended. */
async function again(): Promise<void> {
  talk.end();
  await talk.ended;
  talk = host.talk();
}

/** Of what is no part of the host the helpers' lock is the only thing that they touch. */
const snapshot = () => describeFiles(host.scratch.path, ["host/lock"]);
let before: Record<string, string>;
beforeEach(() => {
  before = snapshot();
});

const as = (user: string, group = user) => {
  const [{ uid }, { gid }] = [idsOf(user), idsOf(group)];
  return ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--inh-caps=-all", "--"];
};

describe("a request is refused, and nothing is changed:", () => {
  test.each(refusedRequests)("$name ($method)", async ({ method, params, refused }) => {
    expect((await talk.ask(method, params)).error?.code).toBe(refused);
    expect(snapshot()).toEqual(before);
  });
});

describe("bytes that are no request are refused, and nothing is changed:", () => {
  test.each(brokenLines)("$name", async ({ bytes, ends }) => {
    const known = talk.answers.length;
    const isNew = (answer: Answer) => talk.answers.indexOf(answer) >= known;
    talk.write(bytes);
    const refusal = await talk.answer((answer) => answer.error !== undefined && isNew(answer));
    // One that ends the connection may overtake the refusal.
    if (!ends || refusal !== undefined) expect(refusal?.error?.code).toBe("helper_refused");
    if (ends) await again();
    expect(snapshot()).toEqual(before);
  });
});

describe("whoever connects", () => {
  test("as another user does not get through the socket", async () => {
    const stranger = host.talk(as(users.otherApp));
    expect(await stranger.ended).not.toBe(0);
    expect(stranger.answers).toEqual([]);
  });

  test("as an app's user does not get through the socket", async () => {
    const stranger = host.talk(as(users.app));
    expect(await stranger.ended).not.toBe(0);
    expect(stranger.answers).toEqual([]);
  });

  test("as another user in the agent's group is not answered", async () => {
    const stranger = host.talk(as(users.otherApp, users.agent));
    stranger.write(`${JSON.stringify({ id: 1, method: "removeApp", params: { app: "shop" } })}\n`);
    await stranger.ended;
    expect(stranger.answers).toEqual([]);
    expect(snapshot()).toEqual(before);
  });

  test("by anything else than a unix socket is not answered", async () => {
    const argv = [node, helperProgram, "--config", join(host.etc, "agent.yml")];
    const { code, stdout, stderr } = await runProgram(argv, { env: { PATH: systemPath } });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("[helper_refused]");
  });
});

describe("in a wrong order or number", () => {
  test("a release with a run is not removed", async () => {
    const run = host.layout().runDir(release);
    mkdirSync(run);
    const { error } = await talk.ask("removeRelease", { app: "shop", release });
    expect(error?.code).toBe("helper_refused");
    expect(readdirSync(host.layout().releases)).toEqual([release]);
    rmSync(run, { recursive: true });
  });

  test("an id that is in use is refused, and its first request is answered", async () => {
    await again();
    talk.write(`${JSON.stringify({ id: 5, method: "runs", params: { app: "shop" } })}\n`.repeat(2));
    expect((await talk.answer(({ error }) => error !== undefined))?.error?.code).toBe("helper_refused");
    expect((await talk.answer(({ id, error }) => id === 5 && error === undefined))?.result).toEqual([]);
  });

  test("a flood of requests is answered or refused, each of them", async () => {
    await again();
    const ids = Array.from({ length: 3000 }, (_, index) => index + 1);
    talk.write(ids.map((id) => `${JSON.stringify({ id, method: "runs", params: { app: "shop" } })}\n`).join(""));
    await talk.answer(() => new Set(talk.answers.map(({ id }) => id)).size > ids.length);
    const codes = new Set(talk.answers.map(({ error }) => error?.code));
    expect([...codes].toSorted()).toEqual(["helper_refused", undefined]);
    await again();
    expect(snapshot()).toEqual(before);
  });

  test("a second connection waits until the first has ended", async () => {
    // Its helper has the lock now, and not the one that is started next.
    await talk.done("runs", { app: "shop" });
    const other = host.talk();
    await talk.done("runs", { app: "shop" });
    expect(other.answers).toEqual([]);
    talk.end();
    expect(await talk.ended).toBe(0);
    expect((await other.answer(({ helper }) => helper !== undefined))?.helper).toBeDefined();
    talk = other;
  });

  test("a connection that ends in the middle of a request leaves no helper", async () => {
    await again();
    await talk.answer(({ helper }) => helper !== undefined);
    talk.write('{"id":1,"method":"removeApp","params":{"app":"sh');
    talk.kill();
    await talk.ended;
    for (const deadline = Date.now() + 10_000; host.helpers().length > 0 && Date.now() < deadline; ) await sleep(20);
    expect(host.helpers()).toEqual([]);
    talk = host.talk();
    await talk.done("runs", { app: "shop" });
    expect(snapshot()).toEqual(before);
  });
});

describe("what the agent puts in the way", () => {
  const agent = idsOf(users.agent);
  let victim: string;

  /** Root's, shaped like a release, so that whatever is done to a release through a link would be done to it. */
  beforeEach(() => {
    victim = join(host.scratch.path, "victim");
    mkdirSync(join(victim, "app/pkg/deep"), { recursive: true });
    for (const file of ["manifest.json", "config.json", "app/pkg/file.py", "app/pkg/deep/a.py", "app/shop.py"]) {
      writeFileSync(join(victim, file), "root's\n", { mode: 0o600 });
    }
    before = describeFiles(victim);
  });
  afterEach(() => rmSync(victim, { recursive: true, force: true }));

  test.each(["run", "launch", "logs", "releases", "venvs", "shared", "ports"])(
    "a link in the place of %s is refused and not followed",
    async (name) => {
      host.writeApp("linked", { user: users.app });
      const home = host.layout("linked").home;
      await talk.done("prepareApp", { app: "linked" });
      rmSync(join(home, name), { recursive: true });
      symlinkSync(victim, join(home, name));
      expect((await talk.ask("prepareApp", { app: "linked" })).error?.code).toBe("host_settings_invalid");
      rmSync(join(home, name));
      mkdirSync(join(home, name));
      chownSync(join(home, name), agent.uid, agent.gid);
      expect((await talk.ask("prepareApp", { app: "linked" })).error?.code).toBe("host_settings_invalid");
      rmSync(join(host.data, "apps/linked"), { recursive: true });
      rmSync(join(host.etc, "apps/linked.yml"));
      rmSync(join(host.etc, "apps/linked.env"));
      expect(describeFiles(victim)).toEqual(before);
    },
  );

  test("a release that is a link is not built, sealed or started, and only the link is removed", async () => {
    const id = "20261121T113000Z-aaaaaaa";
    symlinkSync(victim, host.layout().release(id));
    for (const method of ["buildEnvironment", "sealRelease", "runCommand"]) {
      const spec = { app: "shop", run: id, release: id, config: refusedSpecConfig };
      const params = {
        buildEnvironment: { app: "shop", release: id },
        sealRelease: { app: "shop", release: id },
        runCommand: { spec, argv: ["id"], timeoutMs: 1000 },
      }[method];
      expect([method, (await talk.ask(method, params)).error?.code]).toEqual([method, "release_not_found"]);
    }
    await talk.done("removeRelease", { app: "shop", release: id });
    expect(describeFiles(victim)).toEqual(before);
  });

  test.each([
    ["a link to a file of root's", (path: string) => symlinkSync(join(victim, "manifest.json"), path)],
    ["a pipe", (path: string) => execFileSync("mkfifo", [path])],
    ["a device without end", (path: string) => symlinkSync("/dev/zero", path)],
    ["a directory", (path: string) => mkdirSync(path)],
    ["a second name of root's file", (path: string) => execFileSync("ln", [join(victim, "manifest.json"), path])],
    ["a manifest of another release", (path: string) => writeFileSync(path, execFileSync("cat", [otherManifest()]))],
  ])("%s as a release's manifest is not read", async (_name, make) => {
    const id = await host.unpack({ release: "20261121T114000Z-bbbbbbb", files: { "app/shop.py": "" } });
    const manifest = host.layout().manifest(id);
    rmSync(manifest);
    make(manifest);
    const { error } = await talk.ask("buildEnvironment", { app: "shop", release: id });
    expect(error).toBeDefined();
    expect(error?.detail).not.toContain("root's");
    await talk.done("removeRelease", { app: "shop", release: id });
    rmSync(join(victim, "manifest.json"));
    writeFileSync(join(victim, "manifest.json"), "root's\n", { mode: 0o600 });
  });

  test("a second name of root's file in a release is not given away", async () => {
    const id = await host.unpack({ release: "20261121T115000Z-ccccccc", files: { "app/shop.py": "" } });
    // As where the kernel's protected_hardlinks is off.
    execFileSync("ln", [join(victim, "app/shop.py"), join(host.layout().app(id), "linked.py")]);
    before = describeFiles(victim);
    await talk.done("sealRelease", { app: "shop", release: id });
    await talk.ask("buildEnvironment", { app: "shop", release: id });
    expect(describeFiles(victim)).toEqual(before);
    await talk.done("removeRelease", { app: "shop", release: id });
  });

  test("settings that others than root can change are not believed", async () => {
    const file = join(host.etc, "apps/other.yml");
    chmodSync(file, 0o666);
    expect((await talk.ask("prepareApp", { app: "other" })).error?.code).toBe("host_settings_invalid");
    chmodSync(file, 0o644);
    await talk.done("prepareApp", { app: "other" });
  });

  test("trees that are swapped for links all the while lead root nowhere else", async () => {
    const files = { "app/shop.py": "", "app/pkg/file.py": "x = 1\n", "app/pkg/deep/a.py": "", "app/pkg/deep/b.py": "" };
    for (let round = 0; round < 8; round++) {
      const id = `20261121T12000${round}Z-ddddddd`;
      await host.unpack({ release: id, files, config: { python: { wheels: "none" } } });
      const swappers = await Promise.all([users.agent, users.app].map((user) => swapper(user, id)));
      for (const method of ["sealRelease", "buildEnvironment", "sealRelease", "buildEnvironment", "removeRelease"]) {
        await talk.ask(method, { app: "shop", release: id });
      }
      for (const child of swappers) child.kill("SIGKILL");
      await talk.ask("removeRelease", { app: "shop", release: id });
      expect(describeFiles(victim)).toEqual(before);
    }
  });

  async function swapper(user: string, id: string): Promise<ChildProcess> {
    const script = join(repository, "test/hostile/swap.py");
    const [program = "", ...args] = [...as(user), "/usr/bin/python3", script, host.layout().release(id), victim];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], env: { PATH: systemPath } });
    if (child.pid !== undefined) host.scratch.adopt(processId(child.pid));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    return child;
  }

  const refusedSpecConfig = { app: "shop", server: { kind: "gunicorn", app: "shop:application" } };
  const otherManifest = () => host.layout().manifest(release);
});
