import { access } from "node:fs/promises";
import { findProgram } from "../../../shared/find-program.ts";
import type { AgentSettings } from "../../settings.ts";
import { encodeLaunchFile } from "../supervisor/launch-files.ts";
import { runTool, toolPath } from "./run-tool.ts";
import type { StepRequest } from "./step.ts";
import { systemdEnvironment, systemdWords } from "./systemd-step.ts";

/** What a step may do to the host that it runs on. */
export interface Confinement {
  /** Without one it runs as whoever starts it, and the rest is as far as that user can go. */
  user?: { uid: number; gid: number } | undefined;
  network: boolean;
  limits: Pick<AgentSettings["limits"], "step_memory" | "step_tasks" | "step_file">;
  /** Hands the environment over where it is a repository's: what still runs as root must not have it. */
  launcher?: { node: string; file: string } | undefined;
}

/** The host's own tools that a step is confined with, by their paths; one that is not there is done without. */
export interface SandboxTools {
  setpriv?: string | undefined;
  prlimit?: string | undefined;
  /** Only where the kernel lets this process make namespaces. */
  unshare?: string | undefined;
  /** Where the host's systemd can be asked: its name for the unit that this process is of, if it is of one that says so. */
  systemd?: { unit: string | undefined } | undefined;
}

/** The first process of the namespace, so that the step is not it: that one would not end at a signal. */
const first = ["/bin/sh", "-c", '"$@"; exit $?', "sh"];

/** The step with everything before its words that confines it. No value that is secret is among the words. */
export function confined(step: StepRequest, { user, network, limits, launcher }: Confinement, tools: SandboxTools) {
  const limited = tools.prlimit === undefined ? [] : [tools.prlimit, ...limitOptions(limits, user !== undefined), "--"];
  if (user === undefined) {
    const locked = tools.setpriv === undefined ? [] : [tools.setpriv, "--no-new-privs", "--"];
    return { ...step, argv: [...locked, ...limited, ...step.argv] };
  }
  const { argv, cwd, env, ...rest } = step;
  if (tools.systemd !== undefined) return asUnit(step, { user, network, limits, launcher }, tools.systemd.unit);
  const drop = ["--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups"];
  const bare = ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"];
  const apart = tools.unshare === undefined ? [] : [tools.unshare, ...namespaceOptions(network), "--", ...first];
  const setpriv = tools.setpriv ?? "setpriv";
  const outer = [setpriv, "--pdeathsig", "KILL", "--", ...apart, ...limited, setpriv, ...drop, ...bare, "--"];
  // The directory is entered as the user too: root could be led where that user may not go.
  if (launcher === undefined) return { ...rest, cwd: "/", env, argv: [...outer, "/usr/bin/env", "-C", cwd, ...argv] };
  const launch = encodeLaunchFile({ argv, env, directory: cwd, umask: 0o022 });
  const last = [launcher.node, launcher.file, "-"];
  return { ...rest, cwd: "/", env: { PATH: toolPath }, argv: [...outer, ...last], input: launch };
}

/** The same by the host's systemd. Words can be seen by all: a repository's environment goes in by standard input. */
function asUnit(
  { argv, env, cwd, ...rest }: StepRequest,
  { user, network, limits, launcher }: Confinement & { user: { uid: number; gid: number } },
  askedBy: string | undefined,
): StepRequest {
  const { timeoutMs, graceMs } = rest;
  const unit = { user, network, limits, timeoutMs, graceMs, askedBy, ownTmp: launcher === undefined };
  if (launcher === undefined) {
    return { ...rest, cwd: "/", env: systemdEnvironment, argv: systemdWords({ ...unit, argv, env, cwd }) };
  }
  const launch = encodeLaunchFile({ argv, env, directory: cwd, umask: 0o022 });
  const words = systemdWords({ ...unit, argv: [launcher.node, launcher.file, "-"], env: systemdEnvironment, cwd: "/" });
  return { ...rest, cwd: "/", env: systemdEnvironment, argv: words, input: launch };
}

/** --kill-child: whatever the step started ends with it, also what left its session. */
function namespaceOptions(network: boolean): string[] {
  return ["--pid", "--fork", "--kill-child", "--mount-proc", ...(network ? [] : ["--net"])];
}

function limitOptions({ step_memory, step_tasks, step_file }: Confinement["limits"], alone: boolean): string[] {
  // The kernel counts tasks by user: a person has more of them than a step needs.
  const tasks = alone ? [`--nproc=${step_tasks}`] : [];
  return [`--data=${step_memory}`, `--fsize=${step_file}`, "--core=0", ...tasks];
}

let found: Promise<SandboxTools> | undefined;

/** Looked for once: they are the host's own, and do not come and go. */
export function sandboxTools(): Promise<SandboxTools> {
  found ??= findTools();
  return found;
}

async function findTools(): Promise<SandboxTools> {
  const [setpriv, prlimit, unshare] = ["setpriv", "prlimit", "unshare"].map((name) => findProgram(name, toolPath));
  const systemd = process.geteuid?.() === 0 ? await findSystemd() : undefined;
  if (systemd !== undefined) return { setpriv, prlimit, systemd };
  const separate = unshare !== undefined && process.geteuid?.() === 0 && (await namespacesWork(unshare));
  return { setpriv, prlimit, unshare: separate ? unshare : undefined };
}

/** systemd-run waits for a unit's end by the system bus. */
async function findSystemd(): Promise<SandboxTools["systemd"]> {
  const wanted = [
    findProgram("systemd-run", toolPath),
    there("/run/systemd/system"),
    there("/run/dbus/system_bus_socket"),
  ];
  const found = await Promise.all(wanted);
  return found.every(Boolean) ? { unit: process.env.CUTOVER_UNIT } : undefined;
}

function there(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Containers often do not allow it. */
async function namespacesWork(unshare: string): Promise<boolean> {
  const result = await runTool(unshare, [...namespaceOptions(false), "--", "true"]).catch(() => undefined);
  return result?.code === 0;
}
