import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { readPlainFile } from "../../host/ownership/owner-file.ts";
import { toStatus } from "../../host/supervisor/program-group.ts";
import { hasLowShare } from "../../host/supervisor/share.ts";
import { Supervisor } from "../../host/supervisor/supervisor.ts";
import { asksForPassword } from "../../host/supervisor/supervisor-errors.ts";
import type { AgentSettings } from "../../settings.ts";
import { expanded, type Ini, includesDirectory, longestConf, parseIni } from "../supervisor-conf.ts";
import type { SupervisorFacts } from "./facts.ts";
import { namesIn } from "./paths.ts";
import { limitOf, supervisords, umaskOf } from "./processes.ts";

const usualFiles = ["/etc/supervisor/supervisord.conf", "/etc/supervisord.conf"];

export async function supervisorFacts({ supervisor }: AgentSettings): Promise<SupervisorFacts> {
  const { socket, conf_dir: confDir } = supervisor;
  const client = new Supervisor({ socket, confDir, timeoutMs: 5000 });
  const answer = await client.pid().catch(stateOf);
  const running = await supervisords();
  const daemons = await Promise.all(
    running.map(async (daemon) => ({ ...daemon, ...(await placesOf(daemon.conf, supervisor)) })),
  );
  const pid = typeof answer === "number" ? answer : undefined;
  const own = running.find((daemon) => daemon.pid === pid)?.conf;
  const candidates = own === undefined ? [join(dirname(confDir), "supervisord.conf"), ...usualFiles] : [own];
  return {
    socket: typeof answer === "number" ? "answers" : answer,
    daemon:
      pid === undefined
        ? undefined
        : {
            pid,
            openFiles: await limitOf(pid, "Max open files"),
            processes: await limitOf(pid, "Max processes"),
            umask: await umaskOf(pid),
          },
    daemons,
    conf: await firstIni(candidates),
    files: await namesIn(confDir),
    programs: pid === undefined ? [] : await programsOf(client, pid),
  };
}

async function programsOf(client: Supervisor, supervisord: number): Promise<SupervisorFacts["programs"]> {
  const programs = await client.getAllProcessInfo().catch(() => []);
  return programs.map((program) => {
    const { name, state, detail, pid, uptime } = toStatus(program);
    const quiet = pid !== 0 && hasLowShare(pid, supervisord);
    return { group: program.group, name, state, detail, ...(quiet && { quietMs: uptime }) };
  });
}

function stateOf(error: unknown): Exclude<SupervisorFacts["socket"], "answers"> {
  const cause = error instanceof CutoverError ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  if (asksForPassword(cause)) return "password";
  switch (cause?.code) {
    case "ENOENT":
      return "absent";
    case "ECONNREFUSED":
      return "stale";
    case "EACCES":
      return "denied";
    default:
      return "broken";
  }
}

async function firstIni(paths: string[]): Promise<{ path: string; ini: Ini } | undefined> {
  for (const path of paths) {
    // Any user's process may call itself supervisord, and name a pipe or a device.
    const text = await readPlainFile(path, longestConf).catch(() => undefined);
    if (text !== undefined) return { path, ini: parseIni(text) };
  }
  return undefined;
}

/** The socket that a configuration names, and whether it includes our programs. */
async function placesOf(
  conf: string | undefined,
  { conf_dir: confDir, socket: ours }: AgentSettings["supervisor"],
): Promise<{ socket: string | undefined; includes: boolean }> {
  const read = await firstIni(conf === undefined ? usualFiles : [conf]);
  if (read === undefined) return { socket: undefined, includes: false };
  const socket = read.ini.get("unix_http_server")?.get("file");
  const named = socket && expanded(socket, read.path);
  // Debian's names /var/run, which leads to /run.
  const same = named !== undefined && (await realOf(named)) === (await realOf(ours));
  return { socket: same ? ours : named, includes: includesDirectory(read, confDir) };
}

/** Where a socket is, which may be gone. */
async function realOf(socket: string): Promise<string> {
  return join(await realpath(dirname(socket)).catch(() => dirname(socket)), basename(socket));
}
