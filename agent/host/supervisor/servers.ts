import { argv } from "../../../shared/command.ts";
import type { Config } from "../../../shared/config.ts";
import { protocolOf } from "../../../shared/config-server.ts";
import type { Address } from "../net/address.ts";

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
}

type Server = Config["server"];

/**
 * The argument list that starts one instance. The first word is a path, or a name in the instance's PATH. Instances listen
 * only on 127.0.0.1: visitors come through nginx.
 */
export function serverArguments({ server }: Config, place: ServerPlace): string[] {
  switch (server.kind) {
    case "gunicorn":
      return gunicorn(server, place);
    case "uwsgi":
      return uwsgi(server, place);
    case "uvicorn":
      return uvicorn(server, place);
    case "aiohttp":
      return server.command === undefined ? aiohttp(server, place) : command(server, place);
    case "tornado":
    case "command":
      return command(server, place);
  }
}

function gunicorn(server: Server, { venv, address, instance }: ServerPlace): string[] {
  return [
    `${venv}/bin/python`,
    "-m",
    "gunicorn",
    "--bind",
    "socket" in address ? `unix:${address.socket}` : hostAndPort(address),
    "--workers",
    String(server.workers),
    "--threads",
    String(server.threads),
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

function uwsgi(server: Server, { venv, address, ownUwsgi }: ServerPlace): string[] {
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
    String(server.workers),
    "--threads",
    String(server.threads),
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

function uvicorn(server: Server, { venv, address }: ServerPlace): string[] {
  return [
    `${venv}/bin/python`,
    "-m",
    "uvicorn",
    ...("socket" in address ? ["--uds", address.socket] : ["--host", "127.0.0.1", "--port", String(address.port)]),
    // With one worker there is no second process that only watches.
    ...(server.workers === 1 ? [] : ["--workers", String(server.workers)]),
    // Only nginx gets here, and it knows the visitor's address and scheme.
    "--proxy-headers",
    "--forwarded-allow-ips",
    "*",
    // nginx has the access log.
    "--no-access-log",
    server.app ?? "",
  ];
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
function command(server: Server, { address, instance, shared }: ServerPlace): string[] {
  const place = "socket" in address ? { socket: address.socket } : { port: String(address.port) };
  const values: Record<string, string> = { ...place, instance, shared, workers: String(server.workers) };
  return argv(server.command ?? []).map((word) =>
    // One pass, so that braces inside a value are never replaced again.
    word.replace(/\{(socket|port|instance|workers|shared)\}/g, (whole, name: string) => values[name] ?? whole),
  );
}

function hostAndPort({ port }: { port: number }): string {
  return `127.0.0.1:${port}`;
}
