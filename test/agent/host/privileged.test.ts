import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Privileged, RunSpec } from "../../../agent/contracts/privileged.ts";
import { startEmbedded } from "../../../agent/host/embedded/embedded.ts";
import { childrenOf, processRuns } from "../../../agent/host/exec/processes.ts";
import { SocketProbe } from "../../../agent/host/net/health.ts";
import { NginxTraffic } from "../../../agent/host/nginx/traffic.ts";
import { LocalPrivileged } from "../../../agent/host/privileged.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../agent/host/supervisor/instance-logs.ts";
import { launcherFile } from "../../../agent/host/supervisor/launch-files.ts";
import { stopSeconds } from "../../../agent/host/supervisor/programs-file.ts";
import { Supervisor } from "../../../agent/host/supervisor/supervisor.ts";
import { type EmbeddedHost, embeddedHost } from "./embedded-host.ts";
import { eventually, release, scratch, testConfig, testSpec } from "./scratch.ts";

const isRoot = process.geteuid?.() === 0;
const probe = new SocketProbe("0.0.0");

const project = `import os
def app(environ, start):
    start("200 OK", [])
    return [os.environ.get("VALUE", "").encode()]
`;

/** A release with Debian's gunicorn, as unpacking and building would leave it. */
function unpack({ embedded }: EmbeddedHost): void {
  const layout = appLayout(embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  writeFileSync(join(layout.app(release), "shop.py"), project);
  const venv = ["-m", "venv", "--without-pip", "--system-site-packages", layout.venv("key")];
  execFileSync("/usr/bin/python3", venv);
  symlinkSync("../../venvs/key", layout.releaseVenv(release));
}

const healthy = (privileged: Privileged, spec: RunSpec) =>
  eventually(async () => {
    const checks = (await privileged.instances(spec)).map((i) =>
      probe.check(i, { path: "/", host: "x", timeoutMs: 500 }),
    );
    return (await Promise.all(checks)).every((answer) => answer.kind === "status" && answer.status === 200);
  });

/** All visitors to a run. */
async function serve({ embedded, privileged }: Pick<EmbeddedHost, "embedded" | "privileged">, spec: RunSpec) {
  const shares = [{ run: spec.run, instances: await privileged.instances(spec), slots: 60 }];
  const traffic = new NginxTraffic(embedded.settings.data, privileged);
  return traffic.route("shop", { main: { config: spec.config, shares }, preview: null });
}

const supervisorOf = ({ embedded }: EmbeddedHost) => {
  const { socket, conf_dir: confDir } = embedded.settings.supervisor;
  return new Supervisor({ socket, confDir });
};

test("a run starts, answers, is known, and its removal leaves nothing", async () => {
  const host = await embeddedHost();
  const { privileged, embedded } = host;
  await privileged.prepareApp("shop");
  unpack(host);
  // A redeploy's run: its name has a dot.
  const spec = testSpec(testConfig({ env: { VALUE: `it's "100%" ; #\nü` } }), `${release}.2`);
  await privileged.startPrograms(spec);
  await healthy(privileged, spec);
  const [first] = await privileged.instances(spec);
  expect(await probe.check(first!, { path: "/", host: "x", timeoutMs: 500 })).toMatchObject({
    body: spec.config.env.VALUE,
  });

  const before = (await privileged.programs("shop", spec.run)) ?? [];
  expect(before.map(({ name, state, detail }) => [name, state, detail])).toEqual([
    ["web-0", expect.stringMatching(/STARTING|RUNNING/), ""],
    ["web-1", expect.stringMatching(/STARTING|RUNNING/), ""],
  ]);
  await privileged.startPrograms(spec);
  expect((await privileged.programs("shop", spec.run))?.map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
  expect(await privileged.runs("shop")).toEqual([spec.run]);

  await privileged.removePrograms("shop", spec.run);
  for (const { pid } of before) expect(await processRuns(pid)).toBe(false);
  expect(await supervisorOf(host).getAllProcessInfo()).toEqual([]);
  expect(await supervisorOf(host).reloadConfig()).toEqual({ added: [], changed: [], removed: [] });
  expect(readdirSync(embedded.settings.supervisor.conf_dir)).toEqual([]);
  expect(existsSync(appLayout(embedded.settings.data, "shop").runDir(spec.run))).toBe(false);
  expect(await privileged.runs("shop")).toEqual([]);
  expect(await privileged.programs("shop", spec.run)).toBeUndefined();
  await privileged.removePrograms("shop", spec.run);
});

test("a start does not wait for supervisord's loop", async () => {
  const host = await embeddedHost();
  await host.privileged.prepareApp("shop");
  unpack(host);
  const spec = testSpec(testConfig());
  await host.privileged.startPrograms(spec);
  const programs = await host.privileged.programs("shop", release);
  expect(programs?.map(({ state, pid }) => [state, pid > 0])).toEqual([
    ["STARTING", true],
    ["STARTING", true],
  ]);
  await host.privileged.removePrograms("shop", release);
});

test("a run that cannot start shows why, keeps its log, and goes as well", async () => {
  const host = await embeddedHost();
  const { privileged, embedded } = host;
  await privileged.prepareApp("shop");
  unpack(host);
  // Ends in less than the second after which supervisor would call it started.
  const command = ["python3", "-c", "import nothing_here", "{socket}"];
  const spec = testSpec(testConfig({ server: { kind: "command", command, instances: 1 } }));
  await privileged.startPrograms(spec);
  await eventually(async () => (await privileged.programs("shop", release))?.[0]?.state === "BACKOFF");
  expect(await privileged.programs("shop", release)).toEqual([
    { name: "web-0", state: "BACKOFF", pid: 0, uptime: 0, detail: "Exited too quickly (process log may have details)" },
  ]);
  const { data, supervisor } = embedded.settings;
  const logs = await new SupervisorLogs(data, supervisor.conf_dir).tail("shop", release, 50);
  expect(logs[0]?.text).toContain("ModuleNotFoundError: No module named 'nothing_here'");
  await privileged.removePrograms("shop", release);
  expect(await privileged.runs("shop")).toEqual([]);
});

test("a program that does not end at the stop signal is killed, with what it started", async () => {
  const host = await embeddedHost();
  const { privileged } = host;
  await privileged.prepareApp("shop");
  unpack(host);
  const code =
    "import signal,subprocess,time; signal.signal(15, signal.SIG_IGN); subprocess.Popen(['sleep','600']); time.sleep(600)";
  const command = ["python3", "-c", code, "{socket}"];
  const spec = testSpec(testConfig({ server: { kind: "command", command, instances: 1 } }));
  await privileged.startPrograms(spec);
  const pid = (await privileged.programs("shop", release))?.[0]?.pid ?? 0;
  await eventually(async () => (await childrenOf(pid)).length === 1);
  const [child = 0] = await childrenOf(pid);
  const began = Date.now();
  await privileged.removePrograms("shop", release);
  expect(Date.now() - began).toBeGreaterThan((stopSeconds - 1) * 1000);
  expect([await processRuns(pid), await processRuns(child)]).toEqual([false, false]);
  expect(await privileged.programs("shop", release)).toBeUndefined();
}, 30_000);

test("a broken file of someone else stops a start, is named, and does not stop a removal", async () => {
  const host = await embeddedHost();
  const { privileged, embedded } = host;
  const confDir = embedded.settings.supervisor.conf_dir;
  await privileged.prepareApp("shop");
  unpack(host);
  const old = testSpec(testConfig());
  await privileged.startPrograms(old);
  const next = testSpec(old.config, `${release}.2`);
  for (const [text, place] of [
    ["command=x\n", "zz.conf:1"],
    ["[program:x]\ncommand=%(nope)s\n", "zz.conf"],
    ["[program:x]\n", "zz.conf"],
    ["[group:x]\nprograms=nobody\n", "zz.conf"],
    [Buffer.from([0xff, 0xfe]), "zz.conf"],
  ] as const) {
    writeFileSync(join(confDir, "zz.conf"), text);
    await expect(privileged.startPrograms(next)).rejects.toMatchObject({
      code: "supervisor_config_broken",
      message: expect.stringContaining(join(confDir, place)),
      fix: expect.stringContaining(join(confDir, place)),
    });
    expect(readdirSync(confDir).toSorted()).toEqual([`cutover-shop-${release}.conf`, "zz.conf"]);
  }
  await privileged.removePrograms("shop", release);
  await privileged.removePrograms("shop", next.run);
  expect(readdirSync(confDir)).toEqual(["zz.conf"]);
  expect(await supervisorOf(host).getAllProcessInfo()).toEqual([]);
});

test("a supervisord that does not read the directory is told apart", async () => {
  const host = await embeddedHost();
  const { embedded, apps } = host;
  const settings = { ...embedded.settings, supervisor: { ...embedded.settings.supervisor, conf_dir: scratch() } };
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: true });
  await privileged.prepareApp("shop");
  unpack(host);
  await expect(privileged.startPrograms(testSpec(testConfig()))).rejects.toMatchObject({
    code: "supervisor_config_broken",
    fix: expect.stringContaining("[include]"),
  });
  expect(readdirSync(settings.supervisor.conf_dir)).toEqual([]);
});

test("a socket's path has 107 bytes", async () => {
  const { embedded, apps } = await embeddedHost();
  const settings = { ...embedded.settings, data: join(scratch(), "d".repeat(60)) };
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: true });
  await expect(privileged.prepareApp("shop")).rejects.toMatchObject({ code: "socket_path_too_long" });
  await expect(privileged.startPrograms(testSpec(testConfig()))).rejects.toMatchObject({
    code: "socket_path_too_long",
  });
  expect(existsSync(settings.data)).toBe(false);
});

test("a command runs in the release, with its environment and the host's secrets", async () => {
  const host = await embeddedHost();
  await host.privileged.prepareApp("shop");
  unpack(host);
  writeFileSync(join(host.embedded.appsDir, "shop.env"), "SECRET='a b'\n");
  const lines: string[] = [];
  const run = (argv: string[]) =>
    host.privileged.runCommand(testSpec(testConfig({ env: { VALUE: "1" } })), {
      argv,
      timeoutMs: 10_000,
      source: "release",
      signal: new AbortController().signal,
      onOutput: (source, line) => lines.push(`${source}: ${line}`),
    });
  const code = `import os,sys; print(os.getcwd(), os.environ["SECRET"], os.environ["VALUE"], sys.prefix); sys.exit(3)`;
  expect(await run(["python", "-c", code])).toBe(3);
  const layout = appLayout(host.embedded.settings.data, "shop");
  expect(lines).toEqual([`release: ${layout.app(release)} a b 1 ${layout.releaseVenv(release)}`]);
  const environment = await host.privileged.commandEnvironment(testSpec(testConfig()));
  expect(environment).toMatchObject({ release, directory: layout.app(release), env: { SECRET: "a b" } });
});

test("the site is written by what the host allows, and an app is removed as a whole", async () => {
  const host = await embeddedHost();
  const { privileged, embedded, port } = host;
  await privileged.prepareApp("shop");
  unpack(host);
  const spec = testSpec(testConfig({ env: { VALUE: "hello" } }));
  await privileged.startPrograms(spec);
  await healthy(privileged, spec);
  const site = { main: { config: spec.config, slots: new Array<null>(60).fill(null) }, preview: null };
  expect(await privileged.upstreamServers("shop")).toEqual({ main: [], preview: [] });
  expect(await privileged.writeSite("shop", site)).toEqual({ changed: true });
  expect(await privileged.writeSite("shop", site)).toEqual({ changed: false });
  const { home } = appLayout(embedded.settings.data, "shop");
  const { main, preview } = await privileged.upstreamServers("shop");
  expect([main.length, main[59], preview]).toEqual([60, `unix:${home}/slots/59`, []]);
  expect(await serve(host, spec)).toEqual({ reloaded: false });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
  const asking = testConfig({ site: { listen: [port + 1] } });
  await expect(privileged.checkSite("shop", asking)).rejects.toMatchObject({ code: "listen_not_allowed" });
  await expect(privileged.writeSite("shop", { ...site, main: { ...site.main, config: asking } })).rejects.toMatchObject(
    { code: "listen_not_allowed" },
  );
  await privileged.removeApp("shop");
  expect(existsSync(appLayout(embedded.settings.data, "shop").home)).toBe(false);
  expect(readdirSync(embedded.settings.nginx.conf_dir)).toEqual([]);
  expect(await supervisorOf(host).getAllProcessInfo()).toEqual([]);
  await privileged.removeApp("shop");
});

test.runIf(isRoot)(
  "an app of root's agent runs as its own user, and only nginx's group reaches its sockets",
  async () => {
    const host = await embeddedHost();
    const { embedded, apps, port, dir } = host;
    writeFileSync(join(embedded.appsDir, "shop.yml"), `user: nobody\nlisten: ["127.0.0.1:${port}"]\n`);
    const { conf = "" } = embedded.settings.nginx;
    writeFileSync(conf, readFileSync(conf, "utf8").replace("user root root;", "user www-data www-data;"));
    const settings = { ...embedded.settings, nginx: { ...embedded.settings.nginx, group: "www-data" } };
    const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
    const layout = appLayout(settings.data, "shop");
    await privileged.prepareApp("shop");
    unpack(host);
    const spec = testSpec(
      testConfig({ env: { VALUE: "hello" }, server: { kind: "gunicorn", app: "shop:app", instances: 1 } }),
    );
    const run = (argv: string[]) => {
      const signal = new AbortController().signal;
      return privileged.runCommand(spec, { argv, timeoutMs: 10_000, source: "t", signal, onOutput: () => undefined });
    };

    // A build step may write to its release; the sealed release stays as it is.
    await privileged.buildOwner().give("shop", layout.release(release));
    const step = privileged.stepRunner();
    const build = {
      cwd: layout.app(release),
      env: { PATH: "/usr/bin:/bin" },
      timeoutMs: 10_000,
      onLine: () => undefined,
    };
    const signal = new AbortController().signal;
    expect(await step("shop", { ...build, signal, argv: ["sh", "-c", "id -un > built; chmod 4777 built"] })).toBe(0);
    expect(readFileSync(join(layout.app(release), "built"), "utf8")).toBe("nobody\n");
    await privileged.sealRelease("shop", release);
    expect(statSync(join(layout.app(release), "built"))).toMatchObject({ uid: 0, mode: 0o100755 });
    for (const target of ["built", "new", "../venv/new", "../../../venvs/key/bin/new"])
      expect(await run(["touch", target])).not.toBe(0);
    expect(await run(["mv", "../../../venvs/key", "../../../venvs/other"])).not.toBe(0);
    // As an instance's own umask makes it: for others nothing, for nginx what the directory's group gives.
    expect(await run(["sh", "-c", `umask 007; mkdir ${layout.shared}/media; echo hi > ${layout.shared}/media/a`])).toBe(
      0,
    );

    await privileged.startPrograms(spec);
    await healthy(privileged, spec);
    const [program] = (await privileged.programs("shop", release)) ?? [];
    const ids = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
    const nobody = { uid: ids("-u"), gid: ids("-g") };
    expect(statSync(`/proc/${program?.pid}`).uid).toBe(nobody.uid);
    const modes = (path: string) => (statSync(path).mode & 0o7777).toString(8);
    const nginxGroup = Number(execFileSync("getent", ["group", "www-data"], { encoding: "utf8" }).split(":")[2]);
    expect([modes(layout.home), modes(layout.runDir(release)), modes(layout.shared)]).toEqual(["711", "2750", "2750"]);
    expect(statSync(layout.runDir(release))).toMatchObject({ uid: nobody.uid, gid: nginxGroup });
    const launchFile = join(layout.launchDir(release), "web-0.json");
    expect([modes(launchFile), statSync(launchFile).uid, statSync(launchFile).gid]).toEqual(["640", 0, nobody.gid]);

    expect(statSync(join(layout.shared, "media", "a"))).toMatchObject({ uid: nobody.uid, gid: nginxGroup });
    const shared = testConfig({ ...spec.config, shared: [{ url: "/media/", from: "media" }] });
    await serve({ embedded: { ...embedded, settings }, privileged }, { ...spec, config: shared });
    expect(await (await fetch(`http://127.0.0.1:${port}/media/a`)).text()).toBe("hi\n");
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
    expect(existsSync(join(dir, "data"))).toBe(true);
    await privileged.removeApp("shop");
  },
);

test.runIf(isRoot)("root's agent runs no app as root, and knows its users", async () => {
  const { embedded, apps } = await embeddedHost();
  const { settings } = embedded;
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
  await expect(privileged.prepareApp("shop")).rejects.toMatchObject({
    code: "host_settings_invalid",
    fix: expect.stringContaining("user: shop"),
  });
  writeFileSync(join(embedded.appsDir, "shop.yml"), "user: no-such-user\n");
  await expect(privileged.prepareApp("shop")).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("no-such-user"),
  });
  writeFileSync(join(embedded.appsDir, "shop.yml"), "user: nobody\n");
  const grouped = { ...settings, nginx: { ...settings.nginx, group: "no-such-group" } };
  const other = new LocalPrivileged({ settings: grouped, apps, launcher: launcherFile() });
  await expect(other.startPrograms(testSpec(testConfig()))).rejects.toMatchObject({
    code: "host_settings_invalid",
    message: expect.stringContaining("no-such-group"),
  });
});

test("after a restart of everything supervisord and nginx bring the live run back by themselves", async () => {
  const host = await embeddedHost();
  const { privileged, embedded, port, dir } = host;
  await privileged.prepareApp("shop");
  unpack(host);
  const spec = testSpec(testConfig({ env: { VALUE: "hello" } }));
  await privileged.startPrograms(spec);
  await healthy(privileged, spec);
  await serve(host, spec);
  const pids = (await privileged.programs("shop", release))?.map(({ pid }) => pid) ?? [];
  await embedded.stop();
  for (const pid of pids) expect(await processRuns(pid)).toBe(false);
  // Sockets as a power cut leaves them: there, and nobody listens.
  for (const { address } of await privileged.instances(spec)) {
    const socket = JSON.stringify(address.slice("unix:".length));
    execFileSync("/usr/bin/python3", ["-c", `import socket; socket.socket(socket.AF_UNIX).bind(${socket})`]);
  }
  await startEmbedded(dir);
  const ask = () => fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await eventually(async () => (await ask()) === "hello");
});
