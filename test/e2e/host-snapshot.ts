import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppState } from "../../agent/deploy/state.ts";
import { loadState } from "../../agent/deploy/state-format.ts";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { type ProcessInfo, Supervisor } from "../../agent/host/supervisor/supervisor.ts";
import type { EmbeddedAgent } from "../harness/agent.ts";
import { type ProcessId, processId } from "../harness/processes.ts";

/** All of a host that a refused or failed deployment must leave as it was. */
export interface HostSnapshot {
  /** What lies in the data directory, by path. */
  disk: Record<string, string>;
  state: Pick<AppState, "live" | "staged" | "warm" | "releases" | "journal" | "held">;
  programs: string[];
  programFiles: Record<string, string>;
  sites: Record<string, string>;
  slots: string;
  processes: string[];
  /** The version and the release that answer through nginx. */
  visitorsSee: string;
}

/** @param site the address of the site, such as http://127.0.0.1:8080 */
export async function snapshotHost(agent: EmbeddedAgent, site: string, app = "shop"): Promise<HostSnapshot> {
  const { data, supervisor, nginx } = embeddedLayout(agent.directory);
  const client = new Supervisor({ socket: supervisor.socket, confDir: supervisor.confDir });
  const programs = await startedPrograms(client);
  const visitorsSee = await versionSeen(site);
  return {
    disk: describeTree(data),
    state: await settledState(data, app),
    programs: programs.map(({ group, name, statename, pid }) => `${group}:${name} ${statename} ${pid}`).sort(),
    programFiles: readTexts(supervisor.confDir),
    sites: readTexts(nginx.confDir),
    slots: linkTarget(join(data, "apps", app, "slots")),
    processes: await lastingProcesses(agent),
    visitorsSee,
  };
}

/** Empty where there is none, as for an app that has had ports alone. */
function linkTarget(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? "" : readlinkSync(path);
}

/** A program counts as running only after a second, however soon it answers. */
async function startedPrograms(client: Supervisor): Promise<ProcessInfo[]> {
  for (;;) {
    const programs = await client.getAllProcessInfo();
    if (programs.every(({ statename }) => statename !== "STARTING")) return programs;
    await sleep(50);
  }
}

/** Without the worker's process id, which differs from answer to answer. */
export async function versionSeen(site: string): Promise<string> {
  const answer = await fetch(`${site}/version`, { signal: AbortSignal.timeout(10_000) });
  const [version, , release] = (await answer.text()).trim().split(" ");
  return `${answer.status} ${version} ${release}`;
}

/** What may change: events and logs, the history of deployments, the tokens that were used, the audit log, counts of visitors. */
const kept = new Set(["logs", "state.json", "spent-tokens", "audit", "requests", "request-counts"]);

function describeTree(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (directory: string) => {
    for (const name of readdirSync(directory).sort()) {
      if (kept.has(name)) continue;
      const path = join(directory, name);
      const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      // A file that was being written has its own name by now.
      if (status === undefined) continue;
      found[relative(root, path)] = describe(path, status);
      if (status.isDirectory()) walk(path);
    }
  };
  walk(root);
  return found;
}

/**
 * A file's change time tells of every touch, also of one that puts the same bytes back. A release that came and went has
 * touched the names of the files that it shared, and not their content.
 */
function describe(path: string, status: BigIntStats): string {
  const access = `${(status.mode & 0o7777n).toString(8)} ${status.uid}:${status.gid}`;
  if (status.isDirectory()) return `directory ${access}`;
  const touched = `${status.ino} ${status.nlink > 1n ? status.mtimeNs : status.ctimeNs}`;
  if (status.isSymbolicLink()) return `-> ${readlinkSync(path)} ${touched}`;
  return `${status.isSocket() ? "socket" : "file"} ${access} ${status.size} ${touched}`;
}

/** A release that failed is remembered by its name, which is history and no release of the host's. */
async function settledState(data: string, app: string): Promise<HostSnapshot["state"]> {
  const load = async () => JSON.parse(readFileSync(join(data, "apps", app, "state.json"), "utf8")) as unknown;
  const { live, staged, warm, releases, journal, held } = await loadState({ load }, app);
  return { live, staged, warm, journal, held, releases: releases.filter(({ state }) => state !== "failed") };
}

function readTexts(directory: string): Record<string, string> {
  const names = readdirSync(directory).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), "utf8")]));
}

/** Commands of a moment, such as `nginx -t`, are left out: what stays behind is there in two looks. */
async function lastingProcesses(agent: EmbeddedAgent): Promise<string[]> {
  const first = new Set(processesOf(agent));
  await sleep(200);
  return processesOf(agent).filter((each) => first.has(each));
}

/**
 * Everything that runs for the host but the agent itself. Also what has lost its parent, which only its directory or its
 * command line tells.
 */
function processesOf(agent: EmbeddedAgent): string[] {
  const found = new Map(
    [...processesIn(agent.directory), ...agent.scratch.processes()].map((each) => [each.pid, each]),
  );
  if (agent.pid !== undefined) found.delete(agent.pid);
  return [...found.values()].map(describeProcess).sort();
}

/** What has a directory as its own or in its command line. */
export function processesIn(directory: string): ProcessId[] {
  const pids = readdirSync("/proc").map(Number);
  return pids.flatMap((pid) => (pid > 0 && belongsTo(pid, directory) ? (processId(pid) ?? []) : []));
}

function belongsTo(pid: number, directory: string): boolean {
  return commandLine(pid).includes(directory) || workingDirectory(pid).startsWith(directory);
}

function describeProcess({ pid, start }: ProcessId): string {
  return `${pid} ${start} ${commandLine(pid)}`;
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
