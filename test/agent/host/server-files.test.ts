import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../agent/host/supervisor/instance-logs.ts";
import { embeddedHost } from "./embedded-host.ts";
import { eventually, release, testConfig, testSpec } from "./scratch.ts";

/** Starts a run of one instance of a project with a server's own file. */
async function start(files: Record<string, string>, parts: object) {
  const host = await embeddedHost();
  const { data, supervisor } = host.embedded.settings;
  await host.privileged.prepareApp("shop");
  const layout = appLayout(data, "shop");
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(layout.app(release), name, ".."), { recursive: true });
    writeFileSync(join(layout.app(release), name), text);
  }
  execFileSync("/usr/bin/python3", ["-m", "venv", "--without-pip", "--system-site-packages", layout.venv("key")]);
  symlinkSync("../../venvs/key", layout.releaseVenv(release));
  const spec = testSpec(testConfig(parts));
  await host.privileged.startPrograms(spec);
  const [instance] = await host.privileged.instances(spec);
  const socketPath = instance?.address.slice("unix:".length) ?? "";
  const ask = (path = "/") => answer(socketPath, path);
  await eventually(async () => (await ask()) !== "");
  const log = async () =>
    (await new SupervisorLogs(data, supervisor.conf_dir).tail("shop", release, 200)).map(({ text }) => text).join("");
  return { ask, log, end: () => host.privileged.removePrograms("shop", release) };
}

/** The body, as nginx would ask for it; empty if there is no whole answer. */
function answer(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path, headers: { "X-Real-IP": "203.0.113.7" } }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("close", () => resolve(body));
    });
    asked.on("error", () => resolve(""));
    asked.end();
  });
}

const lines = (text: string) => text.match(/^cutover: .*$/gm) ?? [];

const gunicornConf = `import os
bind = "0.0.0.0:8000"
daemon = True
user = "nobody-of-this-host"
chdir = "src"
pidfile = "/run/shop/gunicorn.pid"
reuse_port = True
accesslog = "/var/log/shop/access.log"
workers = 3
threads = 2
timeout = 1
raw_env = ["SHOP_MODE=production"]

def post_fork(server, worker):
    os.environ["HOOKED"] = "yes"
`;
const slowToImport = `import os, time
time.sleep(2.5)

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    values = [environ["REMOTE_ADDR"], os.environ["SHOP_MODE"], os.environ["HOOKED"], str(environ["wsgi.multithread"])]
    return [" ".join([*values, os.path.basename(os.getcwd())]).encode()]
`;

test("gunicorn.conf.py counts, but not what cutover decides; a worker may import longer than gunicorn's time-out", async () => {
  const server = { kind: "gunicorn", app: "web:app", instances: 1, threads: 4 };
  const { ask, log, end } = await start({ "gunicorn.conf.py": gunicornConf, "src/web.py": slowToImport }, { server });
  expect(await ask()).toBe("203.0.113.7 production yes True app");
  const text = await log();
  const said = lines(text).map((line) => line.replace(/^cutover: (\w+) .*: /, "$1: "));
  expect(new Set(said)).toEqual(
    new Set([
      "daemon: supervisor starts and stops the instances",
      "user: the host says which user the app runs as",
      "chdir: an instance runs in its release's directory",
      "pidfile: supervisor starts and stops the instances",
      "reuse_port: each instance listens where cutover says",
      "accesslog: it is not writable; nginx has the access log",
      "bind: each instance listens where cutover says",
      "threads: cutover.yml has server.threads",
      "cutover: gunicorn has 3 workers",
    ]),
  );
  expect(text.match(/Booting worker/g)).toHaveLength(3);
  expect(text).not.toContain("WORKER TIMEOUT");
  await end();
});

const uwsgiIni = `[uwsgi]
name = shop
; the old server's
socket = /tmp/%(name).sock
chdir = /srv/%(name)
uid = www-data
daemonize = /var/log/uwsgi.log
module = web:app
master = true
processes = 3
harakiri = 1
env = SHOP_MODE=production
pythonpath = %dlib
ini = :more

[more]
stats = 127.0.0.1:9191
thunder-lock = true
`;
const uwsgiApp = `import os, time
import prices

def app(environ, start):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(20)
    start("200 OK", [("Content-Type", "text/plain")])
    return [" ".join([os.environ["SHOP_MODE"], prices.PRICE, os.path.basename(os.getcwd())]).encode()]
`;

test("uwsgi.ini counts, but not where it listens, as whom it runs and how it is stopped", async () => {
  const files = { "conf/uwsgi.ini": uwsgiIni, "conf/lib/prices.py": 'PRICE = "5"\n', "web.py": uwsgiApp };
  const server = { kind: "uwsgi", app: "web:app", protocol: "http", instances: 1, config_file: "conf/uwsgi.ini" };
  const { ask, log, end } = await start(files, { server });
  expect(await ask()).toBe("production 5 app");
  // harakiri = 1
  expect(await ask("/slow")).toBe("");
  const text = await log();
  expect(lines(text)).toEqual([
    "cutover: socket = /tmp/%(name).sock of conf/uwsgi.ini does not count: each instance listens where cutover says",
    "cutover: chdir = /srv/%(name) of conf/uwsgi.ini does not count: an instance runs in its release's directory",
    "cutover: uid = www-data of conf/uwsgi.ini does not count: the host says which user the app runs as",
    "cutover: daemonize = /var/log/uwsgi.log of conf/uwsgi.ini does not count: supervisor starts and stops the instances",
    "cutover: stats = 127.0.0.1:9191 of conf/uwsgi.ini does not count: each instance listens where cutover says",
  ]);
  expect(text).toMatch(/spawned uWSGI worker 3 /);
  expect(text).toContain("thunder lock: enabled");
  await end();
});
