import { spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startEmbedded } from "../../../../agent/host/embedded/embedded.ts";
import { embeddedLayout, renderNginxConf, renderSupervisordConf } from "../../../../agent/host/embedded/files.ts";
import { processRuns, readPidFile } from "../../../../agent/host/exec/processes.ts";
import { Supervisor } from "../../../../agent/host/supervisor/supervisor.ts";
import { eventually, scratch } from "../scratch.ts";

const pidsOf = async (dir: string) => {
  const { supervisor, nginx } = embeddedLayout(dir);
  return [await readPidFile(supervisor.pidFile), await readPidFile(nginx.pidFile)];
};

test("it starts both, takes over what runs, and stop leaves no process", async () => {
  const dir = scratch();
  const first = await startEmbedded(dir, { listen: "127.0.0.1:7171" });
  onTestFinished(() => first.stop());
  expect(first.settings).toMatchObject({
    listen: "127.0.0.1:7171",
    names: ["127.0.0.1:7171"],
    data: join(dir, "data"),
    nginx: { log_dir: join(dir, "log") },
  });
  const pids = await pidsOf(dir);
  const second = await startEmbedded(dir, { listen: "127.0.0.1:9999" });
  expect(await pidsOf(dir)).toEqual(pids);
  // The file belongs to the user, so it is not written again.
  expect(second.settings).toEqual(first.settings);
  await second.stop();
  for (const pid of pids) expect(await processRuns(pid ?? 0)).toBe(false);
  await second.stop();
});

test("both outlive a killed agent, and the next one takes them over", async () => {
  const dir = scratch();
  const module = new URL("../../../../agent/host/embedded/embedded.ts", import.meta.url).href;
  const code = `const { startEmbedded } = await import(${JSON.stringify(module)}); await startEmbedded(${JSON.stringify(dir)}); console.log("up"); setInterval(() => {}, 1000);`;
  const agent = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void agent.kill("SIGKILL"));
  await new Promise((resolve) => agent.stdout.once("data", resolve));
  const pids = await pidsOf(dir);
  agent.kill("SIGKILL");
  await new Promise((resolve) => agent.once("exit", resolve));
  const next = await startEmbedded(dir);
  onTestFinished(() => next.stop());
  expect(await pidsOf(dir)).toEqual(pids);
});

test("what was killed is started again, past its stale socket and pid files", async () => {
  const dir = scratch();
  const first = await startEmbedded(dir);
  onTestFinished(() => first.stop());
  const { supervisor, nginx } = embeddedLayout(dir);
  const pids = await pidsOf(dir);
  // nginx's workers end with their master only if it gets a signal that it can handle.
  process.kill(pids[0] ?? 0, "SIGKILL");
  process.kill(pids[1] ?? 0, "SIGTERM");
  for (const pid of pids) await eventually(async () => !(await processRuns(pid ?? 0)));
  writeFileSync(nginx.pidFile, `${process.pid}\n`);
  expect(existsSync(supervisor.socket)).toBe(true);
  await startEmbedded(dir);
  for (const pid of await pidsOf(dir)) {
    expect(pids).not.toContain(pid);
    expect(await processRuns(pid ?? 0)).toBe(true);
  }
});

test("a supervisord that does not start says why", async () => {
  const dir = scratch();
  const { supervisor } = embeddedLayout(dir);
  mkdirSync(supervisor.confDir, { recursive: true });
  writeFileSync(join(supervisor.confDir, "bad.conf"), "[program:x]\n");
  onTestFinished(async () => {
    rmSync(join(supervisor.confDir, "bad.conf"));
    await (await startEmbedded(dir)).stop();
  });
  await expect(startEmbedded(dir)).rejects.toMatchObject({
    code: "supervisor_config_broken",
    message: expect.stringContaining("does not specify a command"),
  });
});

test("a missing program is named with what to install", async () => {
  await expect(startEmbedded(scratch(), { path: "/nowhere" })).rejects.toMatchObject({
    code: "nginx_unreachable",
    message: expect.stringContaining("nginx and supervisor"),
    fix: expect.stringContaining("apt-get install nginx supervisor"),
  });
});

test.each(["/tmp/a b", "/tmp/$x", "/tmp/100%", "/tmp/a;b", '/tmp/"'])("the directory %j is refused", async (dir) => {
  await expect(startEmbedded(dir)).rejects.toMatchObject({ code: "host_settings_invalid" });
  expect(existsSync(dir)).toBe(false);
});

test("supervisord's socket is for its owner alone, and there is no inet server", async () => {
  const text = renderSupervisordConf(embeddedLayout("/d"), false);
  expect(text).toContain("[unix_http_server]\nfile=/d/supervisor.sock\nchmod=0700\n");
  expect(text).not.toContain("inet_http_server");
  expect(text).not.toContain("user=");
  expect(renderNginxConf(embeddedLayout("/d"), false)).not.toContain("user ");
});

test("a supervisord that is not there is told with how to start it", async () => {
  const dir = scratch();
  const supervisor = new Supervisor({ socket: join(dir, "none.sock"), confDir: dir });
  await expect(supervisor.pid()).rejects.toMatchObject({
    code: "supervisor_unreachable",
    message: expect.stringContaining("its socket is not there"),
    fix: expect.stringContaining("systemctl start supervisor"),
  });
});
