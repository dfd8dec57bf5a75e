import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startEmbedded } from "../../../agent/host/embedded/embedded.ts";
import { childrenOf, processRuns } from "../../../agent/host/exec/processes.ts";
import { LocalPrivileged } from "../../../agent/host/privileged.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../agent/host/supervisor/instance-logs.ts";
import { launcherFile } from "../../../agent/host/supervisor/launch-files.ts";
import { stopSeconds } from "../../../agent/host/supervisor/programs-file.ts";
import { Supervisor } from "../../../agent/host/supervisor/supervisor.ts";
import type { Config } from "../../../shared/config.ts";
import { type EmbeddedHost, embeddedHost } from "./embedded-host.ts";
import { eventually, release, scratch, testConfig, testSpec } from "./scratch.ts";
import { healthy, probe, serve, unpack } from "./shop-release.ts";

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
    { name: "web-0", state: "BACKOFF", pid: 0, uptime: 0, detail: "exit code 1" },
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

test("traffic moves within a site that nginx has already, also if the host's owner has forbidden it since", async () => {
  const { privileged, embedded, port } = await embeddedHost();
  await privileged.prepareApp("shop");
  const part = (config: Config, slot: number | null) => ({ config, slots: new Array<number | null>(60).fill(slot) });
  const write = (config: Config, slot: number | null) =>
    privileged.writeSite("shop", { main: part(config, slot), preview: null });
  const served = testConfig({ site: { listen: [`127.0.0.1:${port}`] } });
  await write(served, null);
  writeFileSync(join(embedded.appsDir, "shop.yml"), "listen: [8080]\n");
  expect(await write(served, null)).toEqual({ changed: false });
  expect(await write(served, port + 1)).toEqual({ changed: true });
  const asking = testConfig({ site: { listen: [`127.0.0.1:${port}`], server_name: ["other.example.com"] } });
  await expect(write(asking, null)).rejects.toMatchObject({ code: "listen_not_allowed" });
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
  expect(await privileged.upstreamServers("shop")).toEqual({ main: [], preview: [], unread: false });
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
  const theirs = join(embedded.settings.nginx.conf_dir, "theirs.conf");
  writeFileSync(theirs, "nonsense;");
  await expect(privileged.removeApp("shop")).rejects.toMatchObject({ code: "nginx_config_broken" });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello");
  rmSync(theirs);
  const upload = join(appLayout(embedded.settings.data, "shop").shared, "photo");
  writeFileSync(upload, "of a visitor");
  await privileged.removeApp("shop");
  // H6
  expect(readFileSync(upload, "utf8")).toBe("of a visitor");
  expect(readdirSync(home)).toEqual(["shared"]);
  await privileged.removeApp("shop", true);
  expect(existsSync(appLayout(embedded.settings.data, "shop").home)).toBe(false);
  expect(readdirSync(embedded.settings.nginx.conf_dir)).toEqual([]);
  expect(await supervisorOf(host).getAllProcessInfo()).toEqual([]);
  await privileged.removeApp("shop");
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
