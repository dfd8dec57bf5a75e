import { randomBytes } from "node:crypto";
import type { AgentSettings } from "../../settings.ts";
import { toolPath } from "./run-tool.ts";

/** A step that systemd runs as a unit of its own. It inherits nothing from this process. */
export interface SystemdStep {
  argv: string[];
  /** Its environment. All users can see the words of a command, so it must hold no secret. */
  env: Record<string, string>;
  cwd: string;
  user: { uid: number; gid: number };
  network: boolean;
  /** Whether it has a /tmp of its own. */
  ownTmp: boolean;
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

/** The words that run a step by systemd-run, as the app's user, who can write only what is that user's own. */
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
    // runStep ends it earlier. This limit counts if this process is gone.
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
    "InaccessiblePaths=-/etc/cutover -/run/cutover -/run/cutover-helper -/run/cutover-helper.sock",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
  ];
}
