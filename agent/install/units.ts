/** Where the programs of an installation are. The paths have no spaces and no `%`, which units would need quoted. */
export interface Installation {
  /** The node that runs them. */
  node: string;
  /** The directory of cutover-agent.mjs and the other programs. */
  programs: string;
}

export const agentUser = "cutover-agent";
export const buildUser = "cutover-build";
export const agentUnit = "cutover-agent.service";
export const helperSocketUnit = "cutover-helper.socket";
export const helperUnit = "cutover-helper@.service";

const settings = "/etc/cutover";
const data = "/var/lib/cutover";
/** The agent's own, below /run. Nothing of root's may lie in it: the agent could put a link in its place. */
const runtime = "cutover";
/** In a directory of root's: systemd changes the owner of the path after it has made the socket, and follows links. */
const helperSocket = "/run/cutover-helper.sock";
/** The helper's lock, where only root may enter. */
const helperRuntime = "/run/cutover-helper";
/** Files that only root can read; a running agent finds them below $CREDENTIALS_DIRECTORY. */
const credentials = `${settings}/credentials`;

/** Restrictions of both units: neither the agent nor the helper ever needs what they take away. */
const neverNeeded = [
  "DevicePolicy=closed",
  "KeyringMode=private",
  "LockPersonality=yes",
  // Without MemoryDenyWriteExecute: node compiles code to memory.
  "NoNewPrivileges=yes",
  "PrivateDevices=yes",
  "ProtectClock=yes",
  "ProtectControlGroups=yes",
  "ProtectHome=yes",
  "ProtectHostname=yes",
  "ProtectKernelLogs=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelTunables=yes",
  "RestrictNamespaces=yes",
  "RestrictRealtime=yes",
  "SystemCallArchitectures=native",
];

/** The network side: a user of its own, no capability, and nothing to write but its own directories. */
export function renderAgentUnit({ node, programs }: Installation): string {
  return unit({
    Unit: [
      "Description=cutover agent: takes releases and moves the traffic to them",
      "Documentation=man:cutover-agent(8)",
      `Wants=network-online.target ${helperSocketUnit}`,
      `After=network-online.target nginx.service openresty.service supervisor.service ${helperSocketUnit}`,
      "# Restart= never gives up, except for settings that only a person can correct.",
      "StartLimitIntervalSec=0",
    ],
    Service: [
      "Type=notify",
      "# systemd-notify reports for node, which cannot send to systemd's socket itself.",
      "NotifyAccess=all",
      `ExecStart=${node} --max-semi-space-size=1 --expose-gc --optimize-for-size ${programs}/cutover-agent.mjs`,
      "Environment=MALLOC_ARENA_MAX=2",
      "SyslogIdentifier=cutover-agent",
      `User=${agentUser}`,
      `Group=${agentUser}`,
      "# Without a supplementary group: a list on each run's directory lets it open the sockets for health checks.",
      `RuntimeDirectory=${runtime}`,
      "RuntimeDirectoryMode=0755",
      "RuntimeDirectoryPreserve=yes",
      `LoadCredential=keys:${credentials}`,
      "Restart=always",
      "RestartSec=1",
      "RestartPreventExitStatus=78",
      "# The agent stops what it has started by itself, at a safe point.",
      "KillMode=mixed",
      "# At its start the agent first finishes or undoes a deployment that a crash interrupted.",
      "TimeoutStartSec=15min",
      "TimeoutStopSec=30",
      "WatchdogSec=90",
      "MemoryHigh=384M",
      "MemoryMax=512M",
      "TasksMax=256",
      "LimitCORE=0",
      "OOMScoreAdjust=200",
      "# nginx's workers pass through the slots that it makes.",
      "UMask=0022",
      "",
      "AmbientCapabilities=",
      "CapabilityBoundingSet=",
      ...neverNeeded,
      "PrivateTmp=yes",
      "PrivateUsers=yes",
      "ProtectProc=invisible",
      "# Without ProcSubset=pid: the agent counts open connections in /proc/net.",
      "ProtectSystem=strict",
      `ReadWritePaths=${data}`,
      "RemoveIPC=yes",
      "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
      "RestrictSUIDSGID=yes",
      "SystemCallFilter=@system-service",
      "SystemCallFilter=~@privileged @resources @setuid @keyring",
      "SystemCallErrorNumber=EPERM",
    ],
    Install: ["WantedBy=multi-user.target"],
  });
}

/** Only the agent may open it. */
export function renderHelperSocket(): string {
  return unit({
    Unit: [
      "Description=cutover helper: does the work for which the agent needs root",
      "Documentation=man:cutover-agent(8)",
    ],
    Socket: [
      `ListenStream=${helperSocket}`,
      "SocketUser=root",
      `SocketGroup=${agentUser}`,
      "SocketMode=0660",
      "Accept=yes",
      "# One process works at a time, the others wait.",
      "MaxConnections=8",
      "RemoveOnStop=yes",
    ],
    Install: ["WantedBy=sockets.target"],
  });
}

/** One process for each connection; it ends with the connection. */
export function renderHelperUnit({ node, programs }: Installation): string {
  return unit({
    Unit: [
      "Description=cutover helper: does the work for which the agent needs root",
      "Documentation=man:cutover-agent(8)",
      "CollectMode=inactive-or-failed",
    ],
    Service: [
      `ExecStart=${node} --max-semi-space-size=1 ${programs}/cutover-helper.mjs --config ${settings}/agent.yml`,
      "Environment=MALLOC_ARENA_MAX=2 CUTOVER_UNIT=%n",
      "StandardInput=socket",
      "StandardOutput=journal",
      "StandardError=journal",
      "SyslogIdentifier=cutover-helper",
      "# Longer than any step may take. Its lock's guard ends one that hangs, within a minute.",
      "RuntimeMaxSec=31d",
      "TimeoutStopSec=15",
      "MemoryMax=1G",
      "LimitCORE=0",
      "# The program sets its own umask; this is for everything before that.",
      "UMask=0077",
      "",
      "# For files and processes of other users. Build steps and nginx -t are units of their own.",
      "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SYS_NICE CAP_SYS_PTRACE",
      ...neverNeeded,
      "PrivateTmp=yes",
      "ProtectProc=invisible",
      "ProtectSystem=strict",
      `ReadWritePaths=${data} ${helperRuntime} -/etc/nginx -/etc/supervisor -/var/log/nginx`,
      "# It checks which ports are free, and sends nothing.",
      "RestrictAddressFamilies=AF_UNIX AF_INET",
      "IPAddressDeny=any",
      "SystemCallFilter=@system-service",
      "SystemCallFilter=~@keyring @resources",
      "# An instance that is healthy gets back the share of the processor that it had less of while it booted.",
      "SystemCallFilter=setpriority",
      "SystemCallErrorNumber=EPERM",
    ],
  });
}

/**
 * The agent's user, for systemd-sysusers; and the one that builds have when systemd cannot be asked, as when the package is in
 * a container.
 */
export function renderSysusers(): string {
  return `u ${agentUser} - "cutover agent" ${data}\nu ${buildUser} - "cutover builds"\n`;
}

/** The directories, for systemd-tmpfiles. */
export function renderTmpfiles(): string {
  const lines = [
    `d ${settings} 0755 root root -`,
    `d ${settings}/apps 0755 root root -`,
    `d ${credentials} 0700 root root -`,
    `d ${data} 1771 root ${agentUser} -`,
    `d ${helperRuntime} 0700 root root -`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** agent.yml of a new installation: the defaults that most hosts change. */
export function renderAgentYml(): string {
  return `# Settings of the cutover agent. \`man cutover-agent.yml\` lists each key, and so does
# https://github.com/cutover/cutover/tree/main/agent#agentyml
# After an edit run \`systemctl restart cutover-agent\`; the apps keep running.

# Where the agent listens for the workflow. Beyond this host it needs \`tls\`, or a proxy with a certificate in front of it.
listen: 127.0.0.1:7070

# The names of this agent in the workflow's \`hosts\`. A token is good for one of them only.
# names: [web1.example.com:7070]

# The certificate's key is a file that only root can read, here /etc/cutover/credentials/web1.key.
# tls: { certificate: /etc/ssl/web1.pem, key: keys_web1.key }
`;
}

function unit(sections: Record<string, string[]>): string {
  return Object.entries(sections)
    .map(([name, lines]) => `[${name}]\n${lines.map((line) => `${line}\n`).join("")}`)
    .join("\n");
}
