import { execFileSync, spawn } from "node:child_process";
import { chownSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { helperProgram, node, repository, systemPath } from "./places.ts";
import { processId } from "./processes.ts";
import type { Scratch } from "./scratch.ts";

/** The users of a host with two processes: ones that Debian has, so that the machine gets none. */
export const users = { agent: "daemon", app: "games", otherApp: "news", builder: "uucp", nginx: "www-data" } as const;

export function idsOf(user: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync("id", [flag, user], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

export interface HelperSocket {
  path: string;
  /** What the helpers wrote to their log. */
  log(): string;
  /** The superserver's, whose children the helpers are. */
  pid: number;
}

/** Listens as systemd would for the helper, with agent.yml of an embedded host. @param more words of each helper */
export async function listenForHelper(scratch: Scratch, directory: string, more: string[] = []): Promise<HelperSocket> {
  const path = join(directory, "helper.sock");
  rmSync(path, { force: true });
  const helper = [
    helperProgram,
    "--config",
    join(directory, "etc/agent.yml"),
    "--lock",
    join(directory, "lock"),
    ...more,
  ];
  const script = join(repository, "test/harness/superserver.py");
  const argv = [script, path, String(idsOf(users.agent).gid), node, ...helper];
  const child = spawn("/usr/bin/python3", argv, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: `${dirname(node)}:${systemPath}` },
  });
  if (child.pid === undefined) throw new Error("no superserver");
  scratch.adopt(processId(child.pid));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", () => reject(new Error(`the superserver ended: ${log}`)));
  });
  return { path, log: () => log, pid: child.pid };
}

/** agent.yml of an embedded host for an agent of its own user; its socket is where the command line looks for it. */
export function twoProcessSettings(text: string, directory: string): string {
  const run = join(directory, "run");
  mkdirSync(run, { recursive: true });
  const { uid, gid } = idsOf(users.agent);
  chownSync(run, uid, gid);
  rmSync(join(directory, "agent.sock"), { force: true });
  symlinkSync("run/agent.sock", join(directory, "agent.sock"));
  return `${text
    .replace(/^socket: .*/m, `socket: ${JSON.stringify(join(run, "agent.sock"))}`)
    .replace(/group: .*/, `group: ${users.nginx}`)}
helper: ${JSON.stringify(join(directory, "helper.sock"))}
agent_user: ${users.agent}
build_user: ${users.builder}
`;
}

/** The words before a program that make it the agent's user's, in no other group than its own. */
export function asAgent(): string[] {
  const { uid, gid } = idsOf(users.agent);
  return ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--inh-caps=-all", "--"];
}
