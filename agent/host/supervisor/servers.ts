import { parseArgsStringToArgv } from "string-argv";
import type { Config } from "../../../shared/config.ts";
import type { Address } from "../address.ts";

export interface ServerPlace {
  /** The release's project directory, by its real path. */
  directory: string;
  venv: string;
  /** Where the instance listens. */
  address: Address;
  /** `web-0`, `web-1`, ... */
  instance: string;
}

/** `web-0`, `web-1`, ...: the names of a release's instances. */
export function instanceNames(config: Config): string[] {
  return Array.from({ length: config.server.instances }, (_, index) => `web-${index}`);
}

/** The argument list that starts one instance; the first word is a path, or a name looked up in the instance's PATH. */
export function serverArguments({ server }: Config, place: ServerPlace): string[] {
  switch (server.kind) {
    case "gunicorn":
      return gunicorn(server, place);
    default:
      return command(server, place);
  }
}

function gunicorn(server: Config["server"], { venv, address, instance }: ServerPlace): string[] {
  return [
    `${venv}/bin/python`,
    "-m",
    "gunicorn",
    "--bind",
    "socket" in address ? `unix:${address.socket}` : `127.0.0.1:${address.port}`,
    "--workers",
    String(server.workers),
    "--threads",
    String(server.threads),
    // gunicorn gives the socket to its own group, so nginx's group has no part in it: the directory is the gate
    // (the app's user and nginx's group only), and behind it the socket is open to all.
    "--umask",
    "0",
    "--name",
    instance,
    "--error-logfile",
    "-",
    server.app ?? "",
  ];
}

function command(server: Config["server"], { address, instance }: ServerPlace): string[] {
  const place = "socket" in address ? { socket: address.socket } : { port: String(address.port) };
  const values: Record<string, string> = { ...place, instance, workers: String(server.workers) };
  return commandWords(server.command ?? []).map((word) =>
    // One pass, so that braces inside a value are never replaced again.
    word.replace(/\{(socket|port|instance|workers)\}/g, (whole, name: string) => values[name] ?? whole),
  );
}

/** The words of a command: split as a shell would, without its expansions; a list is taken as it stands. */
export function commandWords(command: string | string[]): string[] {
  return typeof command === "string" ? parseArgsStringToArgv(command) : command;
}
