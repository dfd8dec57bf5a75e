import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type LaunchFile, launcherFile, writeLaunchFile } from "../../../agent/host/supervisor/launch-files.ts";
import { scratch } from "./scratch.ts";

function launch(
  ...args: string[]
): Promise<{ pid: number | undefined; code: number | null; out: string; err: string }> {
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [launcherFile(), ...args], {
    env: { INHERITED: "1" },
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ pid: child.pid, code, out, err })));
}

function launchFile(parts: Partial<LaunchFile>): string {
  const dir = scratch();
  const file = join(dir, "web-0.json");
  const launch = { argv: ["true"], env: { PATH: "/usr/bin:/bin" }, directory: dir, umask: 7, socket: join(dir, "s") };
  writeFileSync(file, JSON.stringify({ ...launch, ...parts }));
  return file;
}

const report = `import json, os, sys
json.dump({"pid": os.getpid(), "env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "umask": os.umask(0)}, sys.stdout)`;

test("it becomes the program: same process, the environment to the letter, no warning", async () => {
  const env = {
    PATH: "/usr/bin:/bin",
    QUOTES: `it's "100%" %(here)s \\ $HOME`,
    LINES: "one\ntwo\n",
    UNICODE: "grüße 🐍",
    EMPTY: "",
  };
  const argv = ["python3", "-E", "-c", report, "a b", '"', "%", "ü\n"];
  const { pid, code, out, err } = await launch(launchFile({ argv, env, directory: "/usr", umask: 0o027 }));
  expect(err).toBe("");
  expect(code).toBe(0);
  const { env: seen, ...rest } = JSON.parse(out);
  // Python adds the first one by itself in the C locale.
  const { LC_CTYPE: _, ...own } = seen;
  expect(own).toEqual(env);
  expect(rest).toEqual({ pid, argv: ["-c", ...argv.slice(4)], cwd: "/usr", umask: 0o027 });
});

test("a socket that a killed predecessor left is removed, and nothing else of that name", async () => {
  const dir = scratch();
  const socket = join(dir, "left.sock");
  const server = createServer().listen(socket);
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  expect((await launch(launchFile({ socket }))).code).toBe(0);
  expect(existsSync(socket)).toBe(false);
  mkdirSync(socket);
  expect((await launch(launchFile({ socket }))).code).toBe(0);
  expect(existsSync(socket)).toBe(true);
});

test("what a killed predecessor left is ended, and nothing of another instance", async () => {
  const mine = {
    CUTOVER_SHARED: "/d/apps/shop/shared",
    CUTOVER_RUN: "20261121T103000Z-3f2c1ab",
    CUTOVER_INSTANCE: "web-0",
  };
  const sleeper = (env: Record<string, string>, code: string) => {
    const child = spawn("/usr/bin/python3", ["-c", `${code}; print(1, flush=True); import time; time.sleep(600)`], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const ended = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
    return { child, ended, ready: new Promise((resolve) => child.stdout.once("data", resolve)) };
  };
  const worker = sleeper(mine, "0");
  const stubborn = sleeper(mine, "import signal; signal.signal(15, signal.SIG_IGN)");
  const other = sleeper({ ...mine, CUTOVER_INSTANCE: "web-1" }, "0");
  await Promise.all([worker, stubborn, other].map(({ ready }) => ready));
  expect((await launch(launchFile({ env: { PATH: "/usr/bin:/bin", ...mine } }))).code).toBe(0);
  expect(await worker.ended).toBe("SIGTERM");
  expect(await stubborn.ended).toBe("SIGKILL");
  expect(other.child.exitCode ?? other.child.signalCode).toBeNull();
});

test("what a killed predecessor left serves on until the instance before is up again", async () => {
  const env = { CUTOVER_SHARED: "/d/apps/shop/shared", CUTOVER_RUN: "20261121T103000Z-3f2c1ab", PATH: "/usr/bin:/bin" };
  const sleeper = (instance: string, command: string) => {
    const child = spawn("/bin/sh", ["-c", command], { env: { ...env, CUTOVER_INSTANCE: instance }, stdio: "pipe" });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  };
  const left = sleeper("web-1", "echo; exec sleep 60");
  // As what outlived its supervisord: not a child of the launcher's parent.
  const orphan = sleeper("web-0", "sleep 60 >&- 2>&- <&- & echo $!");
  const pid = await new Promise<string>((resolve) => orphan.stdout.once("data", (text) => resolve(`${text}`)));
  onTestFinished(() => void process.kill(Number(pid), "SIGKILL"));
  const socket = join(scratch(), "web-0.sock");
  const server = createServer().listen(socket);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const launched = launch(
    launchFile({ env: { ...env, CUTOVER_INSTANCE: "web-1" }, after: { instance: "web-0", address: { socket } } }),
  );
  await sleep(1000);
  expect(left.exitCode ?? left.signalCode).toBeNull();
  const begun = sleeper("web-0", "exec sleep 60");
  expect((await launched).code).toBe(0);
  expect(left.signalCode).toBe("SIGTERM");
  expect(begun.exitCode ?? begun.signalCode).toBeNull();
});

test.each<[string, Partial<LaunchFile>, string]>([
  ["a program that is not there", { argv: ["no-such-program"] }, "no program no-such-program on its PATH"],
  ["a path that is not there", { argv: ["/no/such"] }, "no file /no/such"],
  ["a directory that is not there", { directory: "/no/such" }, "/no/such"],
  ["no program", { argv: [] }, "no program to start"],
])("%s ends with 127 and a line", async (_, parts, message) => {
  const { code, out, err } = await launch(launchFile(parts));
  expect({ code, out, lines: err.split("\n").length }).toEqual({ code: 127, out: "", lines: 2 });
  expect(err).toContain(`cutover: cannot start: `);
  expect(err).toContain(message);
});

test("scripts that the kernel would refuse are told apart, without a dump", async () => {
  const dir = scratch();
  writeFileSync(join(dir, "moved"), "#!/no/such/python\n", { mode: 0o755 });
  writeFileSync(join(dir, "text"), "print(1)\n", { mode: 0o755 });
  writeFileSync(join(dir, "windows"), "#!/bin/sh\r\necho hi\r\n", { mode: 0o755 });
  writeFileSync(join(dir, "plain"), "#!/bin/sh\necho hi\n", { mode: 0o644 });
  const run = (name: string) => launch(launchFile({ argv: [`./${name}`], directory: dir }));
  expect((await run("windows")).err).toContain("./windows has Windows line ends");
  expect((await run("plain")).err).toContain("./plain is not executable");
  expect((await launch(launchFile({ argv: ["cd", "app"] }))).err).toContain("no shell reads the command");
  expect((await launch(launchFile({ argv: ["DEBUG=0", "python3"] }))).err).toContain("would set a variable in a shell");
  expect(await run("moved")).toMatchObject({
    code: 127,
    err: expect.stringContaining("needs /no/such/python, which does not exist"),
  });
  expect(await run("text")).toMatchObject({ code: 127, err: expect.stringContaining("#!") });
});

test("without a launch file, or with a broken one, it says so", async () => {
  expect(await launch()).toMatchObject({ code: 127, err: "cutover: cannot start: no launch file was named\n" });
  const file = join(scratch(), "x.json");
  writeFileSync(file, "{");
  expect((await launch(file)).code).toBe(127);
});

test("a launch file is for its owner and group, and replaces what lies there without following it", async () => {
  const dir = scratch();
  const file = join(dir, "web-0.json");
  const launch = { argv: ["true"], env: {}, directory: "/", umask: 7, socket: "/s" };
  await writeLaunchFile(file, launch, undefined);
  await writeLaunchFile(file, launch, undefined);
  expect((statSync(file).mode & 0o7777).toString(8)).toBe("640");
});
