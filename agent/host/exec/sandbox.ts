import { access } from "node:fs/promises";
import { findProgram } from "../../../shared/find-program.ts";
import type { AgentSettings } from "../../settings.ts";
import { encodeLaunchFile } from "../supervisor/launch-files.ts";
import { runTool, toolPath } from "./run-tool.ts";
import type { StepRequest } from "./step.ts";
import { mountWords, type StepMounts, type StepView } from "./step-view.ts";
import { type StepUser, systemdEnvironment, systemdWords } from "./systemd-step.ts";

/** How far a step is confined on its host. */
export interface Confinement {
  /** Unset: it runs as the user of this process, and is confined as far as that user can do it. */
  user?: StepUser | undefined;
  /** What it sees of the data directory; all that its user may see unless given. */
  view?: StepView | undefined;
  /** For a /tmp of its own, and for its view, where systemd does not make them. */
  mounts?: Omit<StepMounts, "view"> | undefined;
  network: boolean;
  /** It leaves the processor and the disk to what serves. */
  quiet?: boolean | undefined;
  limits: Pick<AgentSettings["limits"], "step_memory" | "step_tasks" | "step_file">;
  /** Set if the environment is the repository's: the launcher hands it over, so that nothing that runs as root has it. */
  launcher?: { node: string; file: string } | undefined;
}

/** The host's own tools that confine a step, by their paths. A tool that is missing is not used. */
export interface SandboxTools {
  setpriv?: string | undefined;
  prlimit?: string | undefined;
  /** Only if the kernel lets this process create namespaces. */
  unshare?: string | undefined;
  /** Set if the host's systemd can be asked. `unit` is the unit of this process, if CUTOVER_UNIT names it. */
  systemd?: { unit: string | undefined } | undefined;
}

/** The first process of a namespace ignores signals without a handler, so the step must not be the first one. */
const first = ["/bin/sh", "-c", '"$@"; exit $?', "sh"];

/**
 * Lowers the share of what follows. A step has a session of its own, and where the kernel makes a group of each session
 * (sched_autogroup), the nice value of a process counts only within its group: so the group gets one as well.
 * A step runs all the same if this fails.
 */
const quietWords = [
  "/bin/sh",
  "-c",
  '{ echo 10 >/proc/$$/autogroup; renice -n 10 -p $$; } >/dev/null 2>&1; exec "$@"',
  "sh",
];

/** The step with the words in front of it that confine it. No word is a secret: all users can see them. */
export function confined(step: StepRequest, confinement: Confinement, tools: SandboxTools): StepRequest {
  const { user, network, limits, launcher, view, mounts, quiet } = confinement;
  const low = quiet ? quietWords : [];
  const limited = tools.prlimit === undefined ? [] : [tools.prlimit, ...limitOptions(limits, user !== undefined), "--"];
  if (user === undefined) {
    const locked = tools.setpriv === undefined ? [] : [tools.setpriv, "--no-new-privs", "--"];
    return { ...step, argv: [...low, ...locked, ...limited, ...step.argv] };
  }
  const { argv, cwd, env, ...rest } = step;
  if (tools.systemd !== undefined) return asUnit(step, { ...confinement, user }, tools.systemd.unit);
  if ("dynamic" in user) throw new Error("only systemd can make a user for a step");
  const drop = ["--reuid", String(user.uid), "--regid", String(user.gid), ...groupOptions(user)];
  const bare = ["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"];
  const init = mounts === undefined ? first : mountWords({ ...mounts, view });
  const apart = tools.unshare === undefined ? [] : [tools.unshare, ...namespaceOptions(network), "--", ...init];
  const setpriv = tools.setpriv ?? "setpriv";
  const outer = [...low, setpriv, "--pdeathsig", "KILL", "--", ...apart, ...limited, setpriv, ...drop, ...bare, "--"];
  // The app's user enters the directory, not root: a link could lead root to where that user may not go.
  if (launcher === undefined) return { ...rest, cwd: "/", env, argv: [...outer, "/usr/bin/env", "-C", cwd, ...argv] };
  const launch = encodeLaunchFile({ argv, env, directory: cwd, umask: 0o022 });
  const last = [launcher.node, launcher.file, "-"];
  return { ...rest, cwd: "/", env: { PATH: toolPath }, argv: [...outer, ...last], input: launch };
}

/** The same by the host's systemd. All users can see the words, so a repository's environment comes by standard input. */
function asUnit(
  { argv, env, cwd, ...rest }: StepRequest,
  { user, network, limits, launcher, view, quiet }: Confinement & { user: StepUser },
  askedBy: string | undefined,
): StepRequest {
  const { timeoutMs, graceMs } = rest;
  const unit = { user, network, limits, timeoutMs, graceMs, askedBy, view, quiet };
  if (launcher === undefined) {
    return { ...rest, cwd: "/", env: systemdEnvironment, argv: systemdWords({ ...unit, argv, env, cwd }) };
  }
  const launch = encodeLaunchFile({ argv, env, directory: cwd, umask: 0o022 });
  const words = systemdWords({ ...unit, argv: [launcher.node, launcher.file, "-"], env: systemdEnvironment, cwd: "/" });
  return { ...rest, cwd: "/", env: systemdEnvironment, argv: words, input: launch };
}

function groupOptions({ groups = [] }: StepUser): string[] {
  return groups.length === 0 ? ["--clear-groups"] : ["--groups", groups.join(",")];
}

/** --kill-child: all that the step started ends with it, also what left its session. */
function namespaceOptions(network: boolean): string[] {
  return ["--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", ...(network ? [] : ["--net"])];
}

function limitOptions({ step_memory, step_tasks, step_file }: Confinement["limits"], alone: boolean): string[] {
  // The kernel counts all tasks of a user. A person who runs the agent may have more than the limit.
  const tasks = alone ? [`--nproc=${step_tasks}`] : [];
  return [`--data=${step_memory}`, `--fsize=${step_file}`, "--core=0", ...tasks];
}

let found: Promise<SandboxTools> | undefined;

/** The tools of this host. They are found once: they do not come and go. */
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

/** systemd-run needs the system bus to wait for a unit's end. */
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

/** Containers often do not allow namespaces. */
async function namespacesWork(unshare: string): Promise<boolean> {
  const result = await runTool(unshare, [...namespaceOptions(false), "--", "true"]).catch(() => undefined);
  return result?.code === 0;
}
