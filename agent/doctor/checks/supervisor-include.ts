import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, mkdir, warning } from "../finding.ts";
import { includesDirectory } from "../supervisor-conf.ts";
import { restartCost } from "./supervisor-limits.ts";

/** A second section replaces the first, and with it all programs of others. */
function includeFix({ path, ini }: NonNullable<HostFacts["supervisor"]["conf"]>, directory: string): string {
  const pattern = `${directory}/*.conf`;
  const files = ini.get("include")?.get("files")?.split(/\s+/).filter(Boolean).join(" ");
  return files === undefined && !ini.has("include")
    ? `Write \`[include]\` and under it \`files = ${pattern}\` into ${path}.`
    : `In the [include] of ${path} change the line \`files\` to \`files = ${[files, pattern].join(" ").trim()}\`; a second [include] would replace it.`;
}

/** supervisord reads the programs that cutover writes, and listens only on its socket. */
export function supervisorInclude({ supervisor, settings }: HostFacts): Finding[] {
  const { conf, files } = supervisor;
  const { conf_dir: directory, socket } = settings.supervisor;
  const found: Finding[] = [];
  if (files === undefined) {
    found.push(
      error("supervisor-include", {
        what: `${directory}, the directory for supervisor's programs, does not exist or is not a directory.`,
        why: "A deploy writes the programs of its release there, so it fails.",
        fix: `Make it (\`mkdir -p ${directory}\`), or set supervisor.conf_dir in agent.yml.`,
        ...mkdir(directory),
      }),
    );
  }
  if (conf === undefined) return found;
  if (!includesDirectory(conf, directory)) {
    found.push(
      error("supervisor-include", {
        what: `${conf.path} has no [include] of ${directory}/*.conf.`,
        why: "supervisord would never start the programs that cutover writes, not even after a reboot.",
        fix: `${includeFix(conf, directory)} Then run \`supervisorctl update\`, which restarts nothing of others.`,
      }),
    );
  }
  if (conf.ini.get("unix_http_server")?.get("file") === undefined) {
    found.push(
      error("supervisor-include", {
        what: `${conf.path} has no [unix_http_server] with a \`file\`.`,
        why: "The agent controls supervisord over that socket.",
        fix: `Write \`[unix_http_server]\` with \`file=${socket}\` and \`chmod=0700\`, then restart supervisord. ${restartCost}`,
      }),
    );
  }
  if (conf.ini.has("inet_http_server")) {
    found.push(
      warning("supervisor-include", {
        what: `${conf.path} has an [inet_http_server].`,
        why: "Everybody who can reach the port can run programs as root. A second supervisord finds the port in use and does not start.",
        fix: "Remove the section: cutover and supervisorctl use the socket.",
      }),
    );
  }
  return found;
}
