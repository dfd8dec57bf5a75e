import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { setEffectHook } from "../../../../agent/effects.ts";
import { childrenOf, processRuns, readPidFile } from "../../../../agent/host/exec/processes.ts";
import { Nginx } from "../../../../agent/host/nginx/nginx.ts";
import { eventually } from "../scratch.ts";
import { ask, nginxProgram, siteHost } from "./site-host.ts";

/** Reloads of a real nginx while others signal it, write to its log, or upgrade it. */

const answering = (port: number, text: string) => [
  { name: "cutover-shop.conf", text: `server { listen 127.0.0.1:${port}; return 200 "${text}"; }\n` },
];

async function host(conf?: (text: string) => string) {
  const made = await siteHost(conf && { conf });
  const { binary, conf: file, conf_dir: confDir } = made.settings.nginx;
  const pidFile = join(made.dir, "nginx.pid");
  const master = (await readPidFile(pidFile)) ?? 0;
  const errorLog = made.log("nginx-error.log");
  return { ...made, nginx: new Nginx({ binary, conf: file, confDir, timeoutMs: 10_000 }), pidFile, master, errorLog };
}

/** Lets these effects fail, each once. */
function failing(...effects: string[]): void {
  const left = [...effects];
  setEffectHook((name) => {
    const at = left.indexOf(name);
    if (at < 0) return () => undefined;
    left.splice(at, 1);
    throw new Error(`${name} fails on purpose`);
  });
  onTestFinished(() => setEffectHook(() => () => undefined));
}

/** Calls this just before nginx gets the signal to reload. */
function beforeReload(act: () => void): void {
  setEffectHook((name) => {
    if (name === "nginx.reload") act();
    return () => undefined;
  });
  onTestFinished(() => setEffectHook(() => () => undefined));
}

test("C7: a reload by somebody else just before ours: after a write every answer is the new one", async () => {
  const { nginx, port, master } = await host();
  await nginx.write(answering(port, "0"));
  const wrong: string[] = [];
  for (let round = 1; round <= 24; round++) {
    process.kill(master, "SIGHUP");
    // The other reload has read the old file, and its new workers come before, with or after our signal.
    await setTimeout((round % 8) * 10);
    await nginx.write(answering(port, String(round)));
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(port)));
    wrong.push(...answers.map(({ text }) => text).filter((text) => text !== String(round)));
  }
  expect(wrong).toEqual([]);
}, 60_000);

test("C7: a reload by somebody else that began before ours and ends after our signal", async () => {
  const { nginx, port, master, settings } = await host();
  await nginx.write(answering(port, "0"));
  for (const round of ["1", "2", "3"]) {
    // The master tries to bind again after half a second. By then it has read the old site.
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const taken = (other.address() as AddressInfo).port;
    const theirs = join(settings.nginx.conf_dir, "theirs.conf");
    writeFileSync(theirs, `server { listen 127.0.0.1:${taken}; return 204; }\n`);
    process.kill(master, "SIGHUP");
    await setTimeout(200);
    await new Promise((resolve) => other.close(resolve));
    await nginx.write(answering(port, round));
    for (let n = 0; n < 10; n++) expect((await ask(port)).text).toBe(round);
  }
}, 60_000);

test("C7: other reloads without a pause delay ours, and do not fail it", async () => {
  const { nginx, port, master } = await host();
  await nginx.write(answering(port, "old"));
  const others = setInterval(() => process.kill(master, "SIGHUP"), 250);
  onTestFinished(() => clearInterval(others));
  for (const text of ["1", "2", "3"]) {
    await nginx.write(answering(port, text));
    expect((await ask(port)).text).toBe(text);
  }
}, 60_000);

test("n49: workers that take long to begin are no refusal", async () => {
  // Each worker makes room for all its connections before it gets its title, and the master waits for 100 ms alone.
  const { nginx, port } = await host((text) =>
    text
      .replace("worker_processes 2", "worker_processes 1")
      .replace("worker_connections 1024", "worker_connections 2000000"),
  );
  for (const text of ["first", "second"]) {
    await nginx.write(answering(port, text));
    expect((await ask(port)).text).toBe(text);
  }
}, 60_000);

test("C14: a stale pid file: neither another program nor another nginx gets the signal", async () => {
  const { nginx, port, pidFile, dir } = await host();
  await nginx.write(answering(port, "old"));
  const stranger = spawn("sleep", ["60"], { stdio: "ignore" });
  onTestFinished(() => void stranger.kill("SIGKILL"));
  const real = readFileSync(pidFile, "utf8");

  writeFileSync(pidFile, `${stranger.pid}\n`);
  await expect(nginx.write(answering(port, "new"))).rejects.toMatchObject({ code: "nginx_unreachable" });
  await expect(nginx.assertRuns()).rejects.toMatchObject({ code: "nginx_unreachable" });
  await setTimeout(50);
  expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null]);

  const other = await siteHost();
  const theirs = (await readPidFile(join(other.dir, "nginx.pid"))) ?? 0;
  const workers = await childrenOf(theirs);
  writeFileSync(pidFile, `${theirs}\n`);
  await expect(nginx.write(answering(port, "new"))).rejects.toMatchObject({ code: "nginx_unreachable" });
  await setTimeout(300);
  expect(await childrenOf(theirs)).toEqual(workers);

  writeFileSync(pidFile, real);
  await nginx.write(answering(port, "new"));
  expect((await ask(port)).text).toBe("new");
  expect(existsSync(join(dir, "etc/nginx/conf.d/cutover-shop.conf.before"))).toBe(false);
});

test("C15: what others write into the error log refuses no reload", async () => {
  const { nginx, port, master, errorLog } = await host();
  await nginx.write(answering(port, "old"));
  const [worker = 0] = await childrenOf(master);
  beforeReload(() => {
    for (const pid of [999_999, worker]) {
      appendFileSync(errorLog, `2026/11/26 10:00:00 [emerg] ${pid}#${pid}: bind() to 0.0.0.0:80 failed\n`);
      appendFileSync(errorLog, `2026/11/26 10:00:00 [emerg] ${pid}#${pid}: still could not bind()\n`);
      appendFileSync(errorLog, `2026/11/26 10:00:00 [emerg] ${pid}#${pid}: unknown directive "x" in /y.conf:1\n`);
    }
  });
  expect(await nginx.write(answering(port, "new"))).toEqual({ changed: true });
  expect((await ask(port)).text).toBe("new");
});

test("C15: a refusal by the running master is told by its own line, after 64 KiB of other lines", async () => {
  const { nginx, port, errorLog, dir } = await host();
  await nginx.write(answering(port, "old"));
  const file = join(dir, "certificates.pem");
  writeFileSync(file, "");
  const site = (text: string) => [
    { name: "cutover-shop.conf", text: `include ${file};\nserver { listen 127.0.0.1:${port}; return 200 ${text}; }\n` },
  ];
  beforeReload(() => {
    // The test was passed. What it reads becomes wrong before the master reads it.
    appendFileSync(errorLog, "2026/11/26 10:00:00 [error] 1#1: *1 something about a request\n".repeat(2000));
    writeFileSync(file, "nonsense;\n");
  });
  const started = Date.now();
  await expect(nginx.write(site("new"))).rejects.toMatchObject({
    code: "nginx_config_broken",
    message: expect.stringContaining(`unknown directive "nonsense" in ${file}:1`),
  });
  expect(Date.now() - started).toBeLessThan(5000);
  expect((await ask(port)).text).toBe("old");
});

test("an upgrade of nginx's binary: the old binary's workers are old workers, and a reload waits for their end", async () => {
  const { nginx, port, pidFile, master: first, settings } = await host();
  // nginx upgrades its binary only if it was started as a daemon, by its path.
  process.kill(first, "SIGTERM");
  await eventually(async () => !(await processRuns(first)));
  spawnSync(nginxProgram(), ["-c", settings.nginx.conf ?? ""], { stdio: "ignore" });
  onTestFinished(async () => {
    // A new master that has not yet written its pid file would outlive the test.
    if (existsSync(`${pidFile}.oldbin`)) await eventually(async () => existsSync(pidFile));
    for (const file of [pidFile, `${pidFile}.oldbin`]) {
      const pid = await readPidFile(file);
      if (pid === undefined || !(await processRuns(pid))) continue;
      process.kill(pid, "SIGTERM");
      await eventually(async () => !(await processRuns(pid)));
    }
  });
  const working = async (pid: number | undefined) => pid !== undefined && (await childrenOf(pid)).length > 0;
  await eventually(async () => working(await readPidFile(pidFile)));
  const master = (await readPidFile(pidFile)) ?? 0;
  await nginx.write(answering(port, "old"));
  expect(await nginx.oldWorkers()).toBe(false);

  process.kill(master, "SIGUSR2");
  await eventually(async () => existsSync(`${pidFile}.oldbin`));
  // Between the two there is no pid file.
  await nginx.assertRuns();
  await eventually(async () => working(await readPidFile(pidFile)));
  expect(await nginx.oldWorkers()).toBe(true);
  const quit = setTimeout(500).then(() => process.kill(master, "SIGQUIT"));
  await nginx.write(answering(port, "new"));
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port)));
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(["new"]));
  await quit;
  await eventually(async () => !(await processRuns(master)));
  expect(await nginx.oldWorkers()).toBe(false);
});

test("after reloads of which nobody knows the end, the next write reloads nginx, whatever the text is", async () => {
  const { nginx, port, settings } = await host();
  await nginx.write(answering(port, "old"));
  // Each write, and each way back.
  failing("nginx.reload", "nginx.reload", "nginx.reload", "nginx.reload");
  for (let time = 0; time < 2; time++) await expect(nginx.write(answering(port, "new"))).rejects.toThrow("on purpose");
  expect(readFileSync(join(settings.nginx.conf_dir, "cutover-shop.conf"), "utf8")).toContain('"old"');
  expect(await nginx.write(answering(port, "new"))).toEqual({ changed: true });
  expect((await ask(port)).text).toBe("new");
  expect(readdirSync(settings.nginx.conf_dir)).toEqual(["cutover-shop.conf"]);
});

test("a write that was interrupted after its reload is taken back by a reload", async () => {
  const { nginx, port, settings } = await host();
  await nginx.write(answering(port, "new"));
  // The agent was killed before it knew that nginx has the new text. There was no file before.
  writeFileSync(join(settings.nginx.conf_dir, "cutover-shop.conf.before"), "");
  failing("nginx.keep");
  await expect(nginx.write(answering(port, "new"))).rejects.toThrow("on purpose");
  await expect(ask(port)).rejects.toThrow();
  expect(readdirSync(settings.nginx.conf_dir)).toEqual([]);
});

test("an nginx that somebody reloads while a write fails has the old text again before the failure is told", async () => {
  const { nginx, port, master } = await host();
  await nginx.write(answering(port, "old"));
  // Somebody else's reload reads the new text, and then ours does not get through.
  setEffectHook((name) => {
    if (name !== "nginx.reload") return () => undefined;
    setEffectHook(() => () => undefined);
    process.kill(master, "SIGHUP");
    throw new Error("fails on purpose");
  });
  onTestFinished(() => setEffectHook(() => () => undefined));
  await expect(nginx.write(answering(port, "new"))).rejects.toThrow("on purpose");
  expect((await ask(port)).text).toBe("old");
});
