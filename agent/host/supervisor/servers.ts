import { argv } from "../../../shared/command.ts";
import type { Config } from "../../../shared/config.ts";
import { protocolOf, workersOf } from "../../../shared/config-server.ts";
import { milliseconds } from "../../../shared/duration.ts";
import { uwsgiReplaced } from "../../../shared/server-file-rules.ts";
import type { Address } from "../net/address.ts";
import { gunicornProgram } from "./gunicorn-program.ts";
import { uwsgiProgram } from "./uwsgi-program.ts";

export interface ServerPlace {
  /** The release's project directory, by its real path. */
  directory: string;
  venv: string;
  /** Where the instance listens. */
  address: Address;
  /** `web-0`, `web-1`, ... */
  instance: string;
  /** Whether the environment has a uwsgi of its own. Otherwise the distribution's is used. */
  ownUwsgi: boolean;
  /** The app's shared directory. */
  shared: string;
  /** The host's cores, for `workers: auto`. */
  cores: number;
}

type Server = Config["server"];

/**
 * The argument list that starts one instance. The first word is a path, or a name in the instance's PATH. Instances listen
 * only on 127.0.0.1: visitors come through nginx.
 */
export function serverArguments({ server, health }: Config, place: ServerPlace): string[] {
  switch (server.kind) {
    case "gunicorn":
      return gunicorn(server, place, milliseconds(health.timeout));
    case "uwsgi":
      return uwsgi(server, place);
    case "uvicorn":
      return uvicorn(server, place);
    case "hypercorn":
      return hypercorn(server, place);
    case "daphne":
      return daphne(server, place);
    case "granian":
      return granian(server, place);
    case "waitress":
      return waitress(server, place);
    case "aiohttp":
      return server.command === undefined ? aiohttp(server, place) : command(server, place);
    case "tornado":
    case "command":
      return command(server, place);
  }
}

const usualThreads = 1;

/** @param bootMs how long a worker may import; gunicorn's own time-out is for requests */
function gunicorn(server: Server, { venv, address, instance, cores }: ServerPlace, bootMs: number): string[] {
  const { workers, threads, config_file: file } = server;
  return [
    ...[`${venv}/bin/python`, "-c", gunicornProgram],
    ...[String(bootMs / 1000), String(workersOf({}, cores)), String(usualThreads)],
    ...(file === undefined ? [] : [`--config=${file}`]),
    "--bind",
    "socket" in address ? `unix:${address.socket}` : hostAndPort(address),
    ...(workers === undefined ? [] : ["--workers", String(workersOf(server, cores))]),
    ...(threads === undefined ? [] : ["--threads", String(threads)]),
    // gunicorn gives the socket its own group, not nginx's. So the directory decides who gets in (the app's user and
    // nginx's group), and the socket is open to all.
    "--umask",
    "0",
    "--name",
    instance,
    "--error-logfile",
    "-",
    server.app ?? "",
  ];
}

/** How many bytes of a request's line and headers uWSGI reads: as many as nginx takes by default. */
const uwsgiBuffer = 32_768;

/** The project's own file comes last, so that its numbers replace the usual ones. */
function uwsgi(server: Server, place: ServerPlace): string[] {
  const { config_file: file, workers, threads } = server;
  const started = uwsgiArguments(server, place);
  if (file === undefined) return started;
  const given = [workers && uwsgiReplaced.workers, threads && uwsgiReplaced.threads].filter(Boolean).join("|");
  return [`${place.venv}/bin/python`, "-I", "-S", "-c", uwsgiProgram, file, given, ...started];
}

function uwsgiArguments(server: Server, { venv, address, ownUwsgi, cores }: ServerPlace): string[] {
  const listen = protocolOf(server) === "http" ? "--http-socket" : "--socket";
  return [
    // pip builds Python into uwsgi. Debian's uwsgi loads it as a plugin.
    ...(ownUwsgi ? [`${venv}/bin/uwsgi`] : ["uwsgi", "--plugin", "python3"]),
    listen,
    "socket" in address ? address.socket : hostAndPort(address),
    // As with gunicorn, the directory decides who gets in.
    ...("socket" in address ? ["--chmod-socket=666"] : []),
    "--master",
    "--die-on-term",
    // Otherwise a worker without its master goes on, and nobody sees it.
    "--no-orphans",
    "--need-app",
    "--single-interpreter",
    "--enable-threads",
    "--processes",
    String(workersOf(server, cores)),
    "--threads",
    String(server.threads ?? usualThreads),
    "--buffer-size",
    String(uwsgiBuffer),
    // nginx has the access log.
    "--disable-logging",
    "--virtualenv",
    venv,
    "--module",
    server.app ?? "",
  ];
}

function uvicorn(server: Server, { venv, address, cores }: ServerPlace): string[] {
  const workers = workersOf(server, cores);
  return [
    `${venv}/bin/python`,
    "-m",
    "uvicorn",
    ...("socket" in address ? ["--uds", address.socket] : ["--host", "127.0.0.1", "--port", String(address.port)]),
    // With one worker there is no second process that only watches.
    ...(workers === 1 ? [] : ["--workers", String(workers)]),
    // Only nginx gets here, and it knows the visitor's address and scheme.
    "--proxy-headers",
    "--forwarded-allow-ips",
    "*",
    // nginx has the access log.
    "--no-access-log",
    ...called(server, "--factory"),
  ];
}

/** The application, with the option for one that a function makes: these servers know no `create_app()`. */
function called({ app = "" }: Server, option: string): string[] {
  const plain = app.replace(/\(\s*\)$/, "");
  return plain === app ? [app] : [option, plain];
}

function hypercorn(server: Server, { venv, address, cores }: ServerPlace): string[] {
  const listen = "socket" in address ? `unix:${address.socket}` : hostAndPort(address);
  // As with gunicorn, the directory decides who gets in.
  const workers = String(workersOf(server, cores));
  const options = ["--bind", listen, "--umask", "0", "--workers", workers, "--error-logfile", "-"];
  return [`${venv}/bin/python`, "-m", "hypercorn", ...options, server.app ?? ""];
}

function daphne({ app = "" }: Server, { venv, address }: ServerPlace): string[] {
  const listen = "socket" in address ? ["-u", address.socket] : ["-b", "127.0.0.1", "-p", String(address.port)];
  // Only nginx gets here, and it knows the visitor's address and scheme. Verbosity 0 is errors alone: nginx has the access log.
  const nginx = ["--proxy-headers", "--proxy-headers-host", "X-Real-IP", "--verbosity", "0"];
  return [`${venv}/bin/python`, "-m", "daphne", ...listen, ...nginx, app];
}

function granian(server: Server, { venv, address, cores }: ServerPlace): string[] {
  const listen =
    "socket" in address ? ["--uds", address.socket] : ["--host", "127.0.0.1", "--port", String(address.port)];
  const workers = String(workersOf(server, cores));
  const options = ["--interface", server.interface ?? "asgi", "--workers", workers, "--no-access-log"];
  return [`${venv}/bin/python`, "-m", "granian", ...listen, ...options, ...called(server, "--factory")];
}

function waitress(server: Server, { venv, address }: ServerPlace): string[] {
  const listen =
    "socket" in address
      ? [`--unix-socket=${address.socket}`, "--unix-socket-perms=666"]
      : [`--listen=${hostAndPort(address)}`];
  // Only nginx gets here; it writes these headers itself.
  const nginx = [
    "--trusted-proxy=*",
    "--trusted-proxy-count=1",
    "--trusted-proxy-headers=x-forwarded-for x-forwarded-proto",
    "--clear-untrusted-proxy-headers",
  ];
  const threads = `--threads=${server.threads ?? usualThreads}`;
  return [`${venv}/bin/python`, "-m", "waitress", ...listen, ...nginx, threads, ...called(server, "--call")];
}

/**
 * Not `python -m aiohttp.web`: that also listens on a port if it is given a socket. As there, the function gets a list of
 * arguments, which is empty here. A function without parameters works too, and so does the application itself.
 */
const aiohttpProgram = `
import inspect, sys
from importlib import import_module
from aiohttp import web
module, _, name = sys.argv[1].partition(":")
app = getattr(import_module(module), name)
if not isinstance(app, web.Application):
    app = app([]) if inspect.signature(app).parameters else app()
place = {"path": sys.argv[3]} if sys.argv[2] == "socket" else {"host": "127.0.0.1", "port": int(sys.argv[3])}
web.run_app(app, print=None, **place)
`;

function aiohttp(server: Server, { venv, address }: ServerPlace): string[] {
  const listen = "socket" in address ? ["socket", address.socket] : ["port", String(address.port)];
  return [`${venv}/bin/python`, "-c", aiohttpProgram, server.app ?? "", ...listen];
}

/** `python` is the one of the environment, whose programs come first in the instance's PATH. */
function command(server: Server, { address, instance, shared, cores }: ServerPlace): string[] {
  const place = "socket" in address ? { socket: address.socket } : { port: String(address.port) };
  const workers = String(workersOf(server, cores));
  const values: Record<string, string> = { ...place, instance, shared, workers };
  return argv(server.command ?? []).map((word) =>
    // One pass, so that braces inside a value are never replaced again.
    word.replace(/\{(socket|port|instance|workers|shared)\}/g, (whole, name: string) => values[name] ?? whole),
  );
}

function hostAndPort({ port }: { port: number }): string {
  return `127.0.0.1:${port}`;
}
