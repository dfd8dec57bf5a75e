import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { HealthAnswer } from "../../../agent/contracts/ports.ts";
import type { RunSpec } from "../../../agent/contracts/privileged.ts";
import { SocketProbe } from "../../../agent/host/net/health.ts";
import { LocalPrivileged } from "../../../agent/host/privileged.ts";
import { appLayout } from "../../../agent/host/store/layout.ts";
import { SupervisorLogs } from "../../../agent/host/supervisor/instance-logs.ts";
import { launcherFile } from "../../../agent/host/supervisor/launch-files.ts";
import { processesOf } from "../../../agent/host/supervisor/leftovers.ts";
import { freePortRange } from "../../harness/ports.ts";
import { type EmbeddedHost, embeddedHost } from "./embedded-host.ts";
import { eventually, release, testConfig, testSpec } from "./scratch.ts";

const probe = new SocketProbe("0.0.0");

/** Each answers with the scheme that the server took the visitor's to be, the path, and whose Python it is. */
const project = {
  "web.py": `import sys

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['wsgi.url_scheme']} {environ['PATH_INFO']} {sys.prefix}".encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    body = f"{scope['scheme']} {scope['path']} {sys.prefix}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})

async def headers(scope, receive, send):
    """For a server that leaves the scheme to the application: it is in a header."""
    sent = dict(scope.get("headers", []))
    await asgi({**scope, "scheme": sent.get(b"x-forwarded-proto", b"").decode()}, receive, send)

make_app = lambda: app
make_asgi = lambda: asgi
make_headers = lambda: headers
`,
  "aio.py": `import sys
from aiohttp import web

async def answer(request):
    return web.Response(text=f"{request.headers['X-Forwarded-Proto']} {request.path} {sys.prefix}")

def make_app(argv=None):
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return app

without_parameters = lambda: make_app()
application = make_app()

if __name__ == "__main__":
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--path")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    web.run_app(make_app(), path=options.path, port=options.port, host="127.0.0.1" if options.port else None, print=None)
`,
  "torn.py": `import sys
from urllib.parse import unquote
import tornado.httpserver, tornado.ioloop, tornado.netutil, tornado.web
from tornado.options import define, options, parse_command_line

define("port", type=int)
define("socket")

class Answer(tornado.web.RequestHandler):
    def get(self):
        self.write(f"{self.request.protocol} {unquote(self.request.path)} {sys.prefix}")

parse_command_line()
server = tornado.httpserver.HTTPServer(tornado.web.Application([("/.*", Answer)]), xheaders=True)
if options.socket:
    server.add_socket(tornado.netutil.bind_unix_socket(options.socket, mode=0o660))
else:
    server.listen(options.port, "127.0.0.1")
tornado.ioloop.IOLoop.current().start()
`,
};

function unpack({ embedded }: EmbeddedHost): void {
  const layout = appLayout(embedded.settings.data, "shop");
  mkdirSync(layout.app(release), { recursive: true });
  for (const [name, text] of Object.entries(project)) writeFileSync(join(layout.app(release), name), text);
  execFileSync("/usr/bin/python3", ["-m", "venv", "--without-pip", "--system-site-packages", layout.venv("key")]);
  symlinkSync("../../venvs/key", layout.releaseVenv(release));
}

async function startHost(server: object): Promise<{ host: EmbeddedHost; spec: RunSpec }> {
  const host = await embeddedHost();
  const range = await freePortRange(9);
  writeFileSync(join(host.embedded.appsDir, "shop.yml"), `listen: ["127.0.0.1:${host.port}"]\nports: "${range}"\n`);
  await host.privileged.prepareApp("shop");
  unpack(host);
  return { host, spec: testSpec(testConfig({ server })) };
}

async function answers({ privileged }: EmbeddedHost, spec: RunSpec): Promise<HealthAnswer[]> {
  const instances = await privileged.instances(spec);
  return Promise.all(instances.map((each) => probe.check(each, { path: "/a%20b", host: "x", timeoutMs: 2000 })));
}

const healthy = (host: EmbeddedHost, spec: RunSpec) =>
  eventually(async () =>
    (await answers(host, spec)).every((answer) => answer.kind === "status" && answer.status === 200),
  );

/** The processes of a group: supervisor makes one of each program, and its workers stay in it. */
function group(id: number): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state, , groupId] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(groupId) === id && state !== "Z" ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

const wsgi = { app: "web:app", instances: 2 };
const asgi = { kind: "uvicorn", app: "web:asgi", instances: 2 };
const kinds: [name: string, server: Record<string, unknown>, processes: number][] = [
  ["gunicorn", { kind: "gunicorn", ...wsgi, workers: 2 }, 3],
  ["gunicorn with threads", { kind: "gunicorn", ...wsgi, workers: 1, threads: 4, bind: "port" }, 2],
  ["uwsgi", { kind: "uwsgi", ...wsgi, workers: 2, threads: 2 }, 3],
  ["uwsgi", { kind: "uwsgi", ...wsgi, workers: 2, bind: "port" }, 3],
  ["uwsgi that speaks HTTP", { kind: "uwsgi", ...wsgi, workers: 1, protocol: "http" }, 2],
  ["uwsgi that speaks HTTP", { kind: "uwsgi", ...wsgi, workers: 1, protocol: "http", bind: "port" }, 2],
  ["uvicorn", { ...asgi, workers: 1 }, 1],
  // The second of three is the one that multiprocessing keeps for itself.
  ["uvicorn with workers", { ...asgi, workers: 2 }, 4],
  ["uvicorn with workers", { ...asgi, workers: 2, bind: "port" }, 4],
  ["uvicorn with a function", { kind: "uvicorn", app: "web:make_asgi()", workers: 1 }, 1],
  ["daphne", { ...asgi, kind: "daphne", app: "web:headers" }, 1],
  ["daphne", { ...asgi, kind: "daphne", app: "web:headers", bind: "port" }, 1],
  ["waitress", { ...wsgi, kind: "waitress", threads: 4 }, 1],
  ["waitress with a function", { kind: "waitress", app: "web:make_app()", bind: "port" }, 1],
  ["hypercorn", { ...asgi, kind: "hypercorn", app: "web:headers", workers: 1 }, 1],
  ["hypercorn with workers", { ...asgi, kind: "hypercorn", app: "web:make_headers()", workers: 2, bind: "port" }, 3],
  ["aiohttp", { kind: "aiohttp", app: "aio:make_app" }, 1],
  ["aiohttp with the application itself", { kind: "aiohttp", app: "aio:application" }, 1],
  ["aiohttp", { kind: "aiohttp", app: "aio:without_parameters", bind: "port" }, 1],
  ["aiohttp by a command", { kind: "aiohttp", command: "python aio.py --path={socket}" }, 1],
  ["tornado", { kind: "tornado", command: "python torn.py --port={port}", bind: "port" }, 1],
  ["tornado", { kind: "tornado", command: "python torn.py --socket={socket}" }, 1],
];

test.each(kinds.map(([name, server, processes]) => ({ name, bind: "socket", server, processes, ...server })))(
  "$name on a $bind answers, comes back when it is killed, and goes without leaving anything",
  async ({ server, processes }) => {
    const { host, spec } = await startHost(server);
    const { privileged, embedded } = host;
    await privileged.startPrograms(spec);
    await healthy(host, spec);
    const prefix = appLayout(embedded.settings.data, "shop").releaseVenv(release);
    for (const answer of await answers(host, spec)) expect(answer).toMatchObject({ body: `https /a b ${prefix}` });

    const before = (await privileged.programs("shop", release)) ?? [];
    // One worker answers while the next is still being started.
    await eventually(async () => before.every(({ pid }) => group(pid).length === processes));
    const master = before[0]?.pid ?? 0;
    process.kill(master, "SIGKILL");
    await eventually(async () => {
      const pid = (await privileged.programs("shop", release))?.[0]?.pid ?? 0;
      return pid !== 0 && pid !== master;
    });
    await eventually(async () => group(master).length === 0);
    await healthy(host, spec);

    const after = (await privileged.programs("shop", release)) ?? [];
    await privileged.removePrograms("shop", release);
    // Python's resource tracker ends by itself, a moment after those that it serves.
    await eventually(async () => after.every(({ pid }) => group(pid).length === 0));
    expect(await privileged.runs("shop")).toEqual([]);
  },
);

/** Whether a user may connect to a socket. */
function mayConnect(user: string, socket: string): boolean {
  const [uid, gid] = ["-u", "-g"].map((option) => Number(execFileSync("id", [option, user], { encoding: "utf8" })));
  const code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
  // Not by this process's groups, which spawn would leave it.
  const drop = ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
  return spawnSync("setpriv", [...drop, "/usr/bin/python3", "-c", code, socket]).status === 0;
}

const onSockets = kinds.filter(([, server]) => server.bind === undefined);
test.runIf(process.geteuid?.() === 0).each(onSockets.map(([name, server]) => ({ name, server })))(
  "$name runs as the app's own user, and nginx's workers alone reach its sockets",
  async ({ server }) => {
    const { host, spec } = await startHost({ ...server, instances: 1 });
    const { embedded, apps } = host;
    writeFileSync(join(embedded.appsDir, "shop.yml"), "user: games\n");
    const settings = { ...embedded.settings, nginx: { ...embedded.settings.nginx, group: "www-data" } };
    const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile() });
    await privileged.prepareApp("shop");
    await privileged.startPrograms(spec);
    await healthy({ ...host, privileged }, spec);
    const [instance] = await privileged.instances(spec);
    const [program] = (await privileged.programs("shop", release)) ?? [];
    const games = Number(execFileSync("id", ["-u", "games"], { encoding: "utf8" }));
    for (const pid of group(program?.pid ?? 0)) expect(statSync(`/proc/${pid}`).uid).toBe(games);
    const socket = instance?.address.slice("unix:".length) ?? "";
    expect(["www-data", "games", "daemon"].map((user) => mayConnect(user, socket))).toEqual([true, true, false]);
    await privileged.removePrograms("shop", release);
  },
);

test("the environment's own uwsgi is taken where it has one, and needs no plugin", async () => {
  const { host, spec } = await startHost({ kind: "uwsgi", ...wsgi, workers: 1 });
  const venv = appLayout(host.embedded.settings.data, "shop").releaseVenv(release);
  // pip's uwsgi has Python built in. Here a script wraps Debian's.
  const script = '#!/bin/sh\necho "own uwsgi: $1"\nexec /usr/bin/uwsgi --plugin python3 "$@"\n';
  writeFileSync(join(venv, "bin/uwsgi"), script, { mode: 0o755 });
  await host.privileged.startPrograms(spec);
  await healthy(host, spec);
  const { data, supervisor } = host.embedded.settings;
  const logs = await new SupervisorLogs(data, supervisor.conf_dir).tail("shop", release, 200);
  expect(logs.map(({ text }) => text.includes("own uwsgi: --socket"))).toEqual([true, true]);
  await host.privileged.removePrograms("shop", release);
});

test("an instance whose port was taken after it was chosen does not come up, and the run goes as well", async () => {
  // Another program is faster.
  const thief =
    "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print(1, flush=True); time.sleep(600)";
  const steal = `import socket, subprocess, sys; thief = subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]], stdout=subprocess.PIPE); thief.stdout.readline(); socket.socket().bind(('127.0.0.1', int(sys.argv[1])))`;
  const server = { kind: "command", command: ["python", "-c", steal, "{port}", thief], instances: 1, bind: "port" };
  const { host, spec } = await startHost(server);
  const { privileged } = host;
  await privileged.startPrograms(spec);
  await eventually(async () => (await privileged.programs("shop", release))?.[0]?.state === "BACKOFF");
  const { shared } = appLayout(host.embedded.settings.data, "shop");
  expect(processesOf({ shared, run: release })).not.toEqual([]);
  await privileged.removePrograms("shop", release);
  // Also what the instance had started, though nothing of its own group was left to be stopped.
  await eventually(async () => processesOf({ shared, run: release }).length === 0);
  expect(await privileged.runs("shop")).toEqual([]);
});

test("the ports of a run stay its own until it goes, and a run that starts avoids those that were taken", async () => {
  const { host, spec } = await startHost({ kind: "gunicorn", app: "web:app", workers: 1, bind: "port" });
  const { privileged } = host;
  // Who only looks chooses none.
  expect(await privileged.instances(spec)).toEqual([]);
  expect(await privileged.runs("shop")).toEqual([]);
  await privileged.startPrograms(spec);
  const chosen = (await privileged.instances(spec)).map(({ address }) => address);
  expect(await privileged.runs("shop")).toEqual([release]);
  await healthy(host, spec);
  // Again, as after a crash of the agent: what listens there is the run itself.
  await privileged.startPrograms(spec);
  expect((await privileged.instances(spec)).map(({ address }) => address)).toEqual(chosen);
  const other = { ...spec, run: `${release}.2` };
  await privileged.startPrograms(other);
  const others = (await privileged.instances(other)).map(({ address }) => address);
  expect(others.filter((address) => chosen.includes(address))).toEqual([]);
  for (const run of [release, other.run]) await privileged.removePrograms("shop", run);
  expect(await privileged.runs("shop")).toEqual([]);
});

test("without a range, or with one that is too small, there are no instances on ports", async () => {
  const { host, spec } = await startHost({ kind: "gunicorn", app: "web:app", bind: "port", instances: 4 });
  await expect(host.privileged.startPrograms(spec)).rejects.toMatchObject({ code: "ports_not_allowed" });
  writeFileSync(join(host.embedded.appsDir, "shop.yml"), "{}\n");
  await expect(host.privileged.startPrograms(spec)).rejects.toMatchObject({ code: "ports_not_allowed" });
  expect(await host.privileged.runs("shop")).toEqual([]);
});
