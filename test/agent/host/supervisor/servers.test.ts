import { expect, test } from "vitest";
import { gunicornProgram } from "../../../../agent/host/supervisor/gunicorn-program.ts";
import { instanceNames } from "../../../../agent/host/supervisor/instances.ts";
import { serverArguments } from "../../../../agent/host/supervisor/servers.ts";
import { uwsgiProgram } from "../../../../agent/host/supervisor/uwsgi-program.ts";
import { testConfig } from "../scratch.ts";

const place = {
  directory: "/r/app",
  venv: "/r/venv",
  address: { socket: "/run/web-1.sock" },
  instance: "web-1",
  ownUwsgi: false,
  shared: "/srv/shared",
  cores: 4,
};

test("gunicorn", () => {
  const config = testConfig({ server: { kind: "gunicorn", app: "shop.wsgi:application", workers: 3, threads: 4 } });
  expect(serverArguments(config, place)).toEqual([
    ...["/r/venv/bin/python", "-c", gunicornProgram, "30", "2", "1"],
    ...["--bind", "unix:/run/web-1.sock", "--workers", "3", "--threads", "4"],
    ...["--umask", "0", "--name", "web-1", "--error-logfile", "-", "shop.wsgi:application"],
  ]);
  expect(instanceNames(config)).toEqual(["web-0", "web-1"]);
});

test("gunicorn has the numbers of its own file unless cutover.yml gives them, and a worker may import as long as health.timeout", () => {
  const server = { kind: "gunicorn", app: "shop:app", config_file: "conf/gunicorn.py" };
  const args = serverArguments(testConfig({ server, health: { timeout: "2m" } }), place);
  expect(args.slice(3, 9)).toEqual(["120", "2", "1", "--config=conf/gunicorn.py", "--bind", "unix:/run/web-1.sock"]);
  expect(args).not.toContain("--workers");
});

test("workers: auto is two for each core of the host, for every kind", () => {
  for (const kind of ["gunicorn", "uvicorn", "hypercorn", "granian"]) {
    const args = serverArguments(testConfig({ server: { kind, app: "shop:app", workers: "auto" } }), place);
    expect(args[args.indexOf("--workers") + 1], kind).toBe("8");
  }
  const uwsgi = serverArguments(testConfig({ server: { kind: "uwsgi", app: "shop:app", workers: "auto" } }), {
    ...place,
    cores: 100,
  });
  expect(uwsgi[uwsgi.indexOf("--processes") + 1]).toBe("64");
});

test("uwsgi with its own file: what cutover.yml gives replaces what the file says", () => {
  const server = { kind: "uwsgi", app: "shop:app", config_file: "uwsgi.ini", workers: 3 };
  expect(serverArguments(testConfig({ server }), place).slice(0, 9)).toEqual([
    ...["/r/venv/bin/python", "-I", "-S", "-c", uwsgiProgram, "uwsgi.ini", "processes|workers|cheaper.*"],
    ...["uwsgi", "--plugin"],
  ]);
});

const onPort = { ...place, address: { port: 9001 } };

test("gunicorn on a port listens for this machine alone", () => {
  expect(
    serverArguments(testConfig({ server: { kind: "gunicorn", app: "shop:app", bind: "port" } }), onPort),
  ).toContain("127.0.0.1:9001");
});

test("uwsgi: Debian's with its plugin, or the environment's own; the protocol decides how it listens", () => {
  const server = { kind: "uwsgi", app: "shop.wsgi:application", workers: 3, threads: 4 };
  const rest = [
    ...["--master", "--die-on-term", "--no-orphans", "--need-app", "--single-interpreter", "--enable-threads"],
    ...["--processes", "3", "--threads", "4", "--buffer-size", "32768", "--disable-logging"],
    ...["--virtualenv", "/r/venv", "--module", "shop.wsgi:application"],
  ];
  expect(serverArguments(testConfig({ server }), place)).toEqual([
    ...["uwsgi", "--plugin", "python3", "--socket", "/run/web-1.sock", "--chmod-socket=666", ...rest],
  ]);
  const http = testConfig({ server: { ...server, protocol: "http", bind: "port" } });
  expect(serverArguments(http, { ...onPort, ownUwsgi: true })).toEqual([
    ...["/r/venv/bin/uwsgi", "--http-socket", "127.0.0.1:9001", ...rest],
  ]);
});

test("uvicorn", () => {
  const server = { kind: "uvicorn", app: "shop.asgi:application", workers: 2 };
  const end = ["--proxy-headers", "--forwarded-allow-ips", "*", "--no-access-log", "shop.asgi:application"];
  expect(serverArguments(testConfig({ server }), place)).toEqual([
    ...["/r/venv/bin/python", "-m", "uvicorn", "--uds", "/run/web-1.sock", "--workers", "2", ...end],
  ]);
  const alone = testConfig({ server: { ...server, workers: 1, bind: "port" } });
  expect(serverArguments(alone, onPort)).toEqual([
    ...["/r/venv/bin/python", "-m", "uvicorn", "--host", "127.0.0.1", "--port", "9001", ...end],
  ]);
});

test("uvicorn calls a function that makes the application by an option", () => {
  const config = testConfig({ server: { kind: "uvicorn", app: "shop.main:create_app()" } });
  expect(serverArguments(config, place).slice(-2)).toEqual(["--factory", "shop.main:create_app"]);
});

test("granian: what it speaks, and a function that makes the application", () => {
  const server = { kind: "granian", app: "shop.main:create_app()", workers: 3, interface: "wsgi" };
  const options = ["--interface", "wsgi", "--workers", "3", "--no-access-log", "--factory", "shop.main:create_app"];
  expect(serverArguments(testConfig({ server }), place)).toEqual([
    ...["/r/venv/bin/python", "-m", "granian", "--uds", "/run/web-1.sock", ...options],
  ]);
  expect(
    serverArguments(testConfig({ server: { kind: "granian", app: "shop:app", bind: "port" } }), onPort).join(" "),
  ).toContain("granian --host 127.0.0.1 --port 9001 --interface asgi");
});

test("aiohttp by its application, or by a command", () => {
  const server = { kind: "aiohttp", app: "shop.main:make_app" };
  const [python, option, program, ...rest] = serverArguments(testConfig({ server }), place);
  expect([python, option, rest]).toEqual([
    "/r/venv/bin/python",
    "-c",
    ["shop.main:make_app", "socket", "/run/web-1.sock"],
  ]);
  expect(program).toContain("web.run_app(");
  const port = serverArguments(testConfig({ server: { ...server, bind: "port" } }), onPort);
  expect(port.slice(3)).toEqual(["shop.main:make_app", "port", "9001"]);
  const command = { kind: "aiohttp", command: "python main.py --path={socket}" };
  expect(serverArguments(testConfig({ server: command }), place)).toEqual([
    "python",
    "main.py",
    "--path=/run/web-1.sock",
  ]);
});

test("tornado", () => {
  const server = { kind: "tornado", command: "python app.py --port={port} --name={instance}", bind: "port" };
  expect(serverArguments(testConfig({ server }), onPort)).toEqual([
    ...["python", "app.py", "--port=9001", "--name=web-1"],
  ]);
});

test("a command is split as a shell would, and its places are filled once", () => {
  const command = `python app.py --path={socket} --name='{instance} of {workers}' "{unknown}"`;
  const config = testConfig({ server: { kind: "command", command, workers: 5 } });
  expect(serverArguments(config, place)).toEqual([
    ...["python", "app.py", "--path=/run/web-1.sock", "--name=web-1 of 5", "{unknown}"],
  ]);
  expect(serverArguments(config, { ...place, address: { socket: "/{instance}" } })).toContain("--path=/{instance}");
});

test("a list is taken word by word", () => {
  const config = testConfig({ server: { kind: "command", command: ["run me", "'{socket}'", "$HOME"] } });
  expect(serverArguments(config, place)).toEqual(["run me", "'/run/web-1.sock'", "$HOME"]);
});
