import { dirname } from "node:path";
import type { AgentSettings } from "../../settings.ts";
import type { HostFacts, UnitFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";

/** What a unit needs of the host because agent.yml names it. */
interface Needs {
  writes: string[];
  /** Also those that are only read, or connected to. */
  reaches: string[];
}

/** The agent's directory below /run is systemd's to make. */
const runtime = "/run/cutover";

/** The units let the agent and its helper reach what agent.yml names. */
export function units({ units, settings }: HostFacts): Finding[] {
  return units.flatMap((unit) => {
    const needs = needsOf(unit.name, settings);
    const closed = [
      ...needs.writes.filter((path) => !within(path, unit.writable)).map((path) => `${path} (not writable)`),
      ...needs.reaches
        .filter((path) => unit.privateTmp && isTemporary(path))
        .map((path) => `${path} (it has a /tmp of its own)`),
      ...needs.reaches
        .filter((path) => !unit.seesHome && isHome(path))
        .map((path) => `${path} (it sees no home directory)`),
    ];
    if (closed.length === 0) return [];
    const path = `/etc/systemd/system/${unit.name}.d/agent-yml.conf`;
    const text = renderDropIn(unit, needs);
    const better = closed.some((each) => each.includes("/tmp of its own"))
      ? "Better: let supervisord make its socket in /run, where no other user can put one. Otherwise "
      : "";
    return [
      error("units", {
        what: `${unit.name} cannot reach what agent.yml names: ${closed.join(", ")}.`,
        why: "systemd hides it from the unit, so a deploy fails although the paths are right.",
        fix: `${better}\`cutover doctor --fix\` writes ${path}, runs \`systemctl daemon-reload\` and restarts the agent:\n${text}`,
        mend: {
          what: `write ${path}, and restart the agent (the sites keep serving)`,
          writes: [{ path, text }],
          commands: [
            ["systemctl", "daemon-reload"],
            ["systemctl", "try-restart", "cutover-agent.service"],
          ],
        },
      }),
    ];
  });
}

function needsOf(unit: string, { data, socket, tls, nginx, supervisor }: AgentSettings): Needs {
  if (unit === "cutover-agent.service") {
    const writes = [data, ...(within(socket, [runtime]) ? [] : [dirname(socket)])];
    const files = tls === undefined ? [] : [tls.certificate, tls.key].filter((file) => file.startsWith("/"));
    return { writes, reaches: [...writes, ...files] };
  }
  const writes = [data, nginx.conf_dir, nginx.log_dir, supervisor.conf_dir];
  return { writes, reaches: [...writes, supervisor.socket] };
}

/** All that the unit needs, not only what it lacks now: this replaces an earlier one. */
function renderDropIn(unit: UnitFacts, { writes, reaches }: Needs): string {
  return [
    "# Written by `cutover doctor --fix` for the paths in /etc/cutover/agent.yml.",
    "[Service]",
    `ReadWritePaths=${[...new Set(writes)].map(word).join(" ")}`,
    ...(!unit.privateTmp || reaches.some(isTemporary) ? ["PrivateTmp=no"] : []),
    ...(unit.seesHome || reaches.some(isHome) ? ["ProtectHome=no"] : []),
    "",
  ].join("\n");
}

/** One that does not exist must not keep the unit from starting. `%` begins a specifier. */
function word(path: string): string {
  const text = `-${path.replaceAll("%", "%%")}`;
  return /[\s"'\\;#]/.test(text) ? `"${text.replaceAll(/["\\]/g, "\\$&")}"` : text;
}

function within(path: string, directories: string[]): boolean {
  return directories.some((directory) => path === directory || path.startsWith(`${directory.replace(/\/$/, "")}/`));
}

function isTemporary(path: string): boolean {
  return within(path, ["/tmp", "/var/tmp"]);
}

function isHome(path: string): boolean {
  return within(path, ["/home", "/root", "/run/user"]);
}
