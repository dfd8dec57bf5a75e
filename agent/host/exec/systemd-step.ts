import { randomBytes } from "node:crypto";
import type { AgentSettings } from "../../settings.ts";
import { toolPath } from "./run-tool.ts";
import { type StepView, viewProperties } from "./step-view.ts";

/** Who a step runs as: a user of the host, or one that systemd makes for this step alone. `groups` are its other groups. */
export type StepUser = { uid: number; gid: number; groups?: number[] } | { dynamic: true; groups: number[] };

/** A step that systemd runs as a unit of its own. It inherits nothing from this process. */
export interface SystemdStep {
  argv: string[];
  /** Its environment. All users can see the words of a command, so it must hold no secret. */
  env: Record<string, string>;
  cwd: string;
  user: StepUser;
  network: boolean;
  /** It leaves the processor and the disk to what serves. */
  quiet?: boolean | undefined;
  /** What it sees of the data directory; all that its user may see unless given. */
  view?: StepView | undefined;
  limits: Pick<AgentSettings["limits"], "step_memory" | "step_tasks" | "step_file">;
  timeoutMs: number;
  graceMs?: number | undefined;
  /** The unit of this process. The step ends with it. */
  askedBy?: string | undefined;
}

/** Runs systemd-run and returns its exit code. At SIGTERM it stops the unit: systemd-run itself would leave it running. */
const ask = `exec 3<&0; unit=$1; shift
trap 'systemctl stop "$unit"; exit 143' TERM
"$@" <&3 3<&- & wait $!`;

/** The words that run a step by systemd-run, as a user who can write only what is that user's own. */
export function systemdWords(step: SystemdStep): string[] {
  const unit = `cutover-step-${randomBytes(8).toString("hex")}.service`;
  const run = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", `--unit=${unit}`];
  const properties = stepProperties(step).map((property) => `--property=${property}`);
  const env = Object.entries(step.env).map(([name, value]) => `${name}=${value}`);
  const inside = ["/usr/bin/env", "-i", "-C", step.cwd, ...env, ...step.argv];
  return [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "/bin/sh",
    "-c",
    ask,
    "sh",
    unit,
    ...run,
    ...properties,
    "--",
    ...inside,
  ];
}

/** The words of a tool that needs more of the host than the unit of this process may use, if CUTOVER_UNIT names that unit. */
export function asHost(words: string[], { CUTOVER_UNIT: unit }: NodeJS.ProcessEnv): string[] {
  return unit === undefined ? words : ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--", ...words];
}

/** The environment of systemd-run and of the shell around it. */
export const systemdEnvironment = { PATH: toolPath };

export function stepProperties({
  user,
  network,
  view,
  quiet,
  limits,
  timeoutMs,
  graceMs = 3000,
  askedBy,
}: SystemdStep): string[] {
  return [
    "Description=a step of a cutover deployment",
    ...userProperties(user),
    "UMask=0022",
    "KillMode=control-group",
    `TimeoutStopSec=${Math.ceil(graceMs / 1000)}`,
    // runStep ends it earlier. This limit counts if this process is gone.
    `RuntimeMaxSec=${Math.ceil(timeoutMs / 1000) + 30}`,
    ...(askedBy === undefined ? [] : [`BindsTo=${askedBy}`, `After=${askedBy}`]),
    // The weights of other units are 100. Where systemd has no control groups to set them in, the nice value counts.
    ...(quiet ? ["CPUWeight=20", "IOWeight=20", "Nice=10"] : []),
    `MemoryMax=${limits.step_memory}`,
    `TasksMax=${limits.step_tasks}`,
    `LimitFSIZE=${limits.step_file}`,
    "LimitCORE=0",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "PrivateDevices=yes",
    `PrivateNetwork=${network ? "no" : "yes"}`,
    "PrivateTmp=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    // A user of systemd's making may write nothing but its own /tmp and what the view has for it.
    `ProtectSystem=${"dynamic" in user ? "strict" : "full"}`,
    ...(view === undefined ? [] : viewProperties(view)),
    "InaccessiblePaths=-/etc/cutover -/run/cutover -/run/cutover-helper -/run/cutover-helper.sock",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    // What is refused, not what is allowed: a step may be any program, and a newer one has newer calls.
    `SystemCallFilter=~${refusedCalls.join(" ")}`,
    "SystemCallErrorNumber=EPERM",
  ];
}

/** Calls for those who manage a machine or look into other processes. No program that a project brings needs them. */
const refusedCalls = [
  ...["@clock", "@cpu-emulation", "@debug", "@module", "@mount", "@obsolete", "@raw-io", "@reboot", "@swap"],
  ...["bpf", "perf_event_open", "userfaultfd"],
];

/** Without User= a dynamic user has the name of the unit, so no two steps share one. */
function userProperties(user: StepUser): string[] {
  const { groups = [] } = user;
  const more = groups.length === 0 ? [] : [`SupplementaryGroups=${groups.join(" ")}`];
  return "dynamic" in user ? ["DynamicUser=yes", ...more] : [`User=${user.uid}`, `Group=${user.gid}`, ...more];
}
