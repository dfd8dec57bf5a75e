import { randomBytes } from "node:crypto";
import type { AgentSettings } from "../../settings.ts";
import { toolPath } from "./run-tool.ts";

/** A step as systemd is asked to run it: a unit of its own, which inherits nothing of the one who asks. */
export interface SystemdStep {
  argv: string[];
  /** Its environment, where that is no secret and so may stand among the words. */
  env: Record<string, string>;
  cwd: string;
  user: { uid: number; gid: number };
  network: boolean;
  /** Whether it has /tmp to itself. */
  ownTmp: boolean;
  limits: Pick<AgentSettings["limits"], "step_memory" | "step_tasks" | "step_file">;
  timeoutMs: number;
  graceMs?: number | undefined;
  /** The unit that asks: the step ends with it. */
  askedBy?: string | undefined;
}

/** Asks systemd and passes on its exit code. At SIGTERM it has the unit stopped: a client that just ends leaves it running. */
const ask = `exec 3<&0; unit=$1; shift
trap 'systemctl stop "$unit"; exit 143' TERM
"$@" <&3 3<&- & wait $!`;

/** The words that run a step by systemd-run, as the app's user, with nothing of the host to write but what is that user's. */
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

/** The words of a tool that needs what the unit of this process, where it says that it is of one, is kept from. */
export function asHost(words: string[], { CUTOVER_UNIT: unit }: NodeJS.ProcessEnv): string[] {
  return unit === undefined ? words : ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--", ...words];
}

/** What client and shell get themselves. */
export const systemdEnvironment = { PATH: toolPath };

export function stepProperties({
  user,
  network,
  ownTmp,
  limits,
  timeoutMs,
  graceMs = 3000,
  askedBy,
}: SystemdStep): string[] {
  return [
    "Description=a step of a cutover deployment",
    `User=${user.uid}`,
    `Group=${user.gid}`,
    "UMask=0022",
    "KillMode=control-group",
    `TimeoutStopSec=${Math.ceil(graceMs / 1000)}`,
    // Whoever asked ends it before; this is for when there is nobody left to.
    `RuntimeMaxSec=${Math.ceil(timeoutMs / 1000) + 30}`,
    ...(askedBy === undefined ? [] : [`BindsTo=${askedBy}`, `After=${askedBy}`]),
    `MemoryMax=${limits.step_memory}`,
    `TasksMax=${limits.step_tasks}`,
    `LimitFSIZE=${limits.step_file}`,
    "LimitCORE=0",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "PrivateDevices=yes",
    `PrivateNetwork=${network ? "no" : "yes"}`,
    `PrivateTmp=${ownTmp ? "yes" : "no"}`,
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProtectSystem=full",
    "InaccessiblePaths=-/etc/cutover -/run/cutover -/run/cutover-helper",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
  ];
}
