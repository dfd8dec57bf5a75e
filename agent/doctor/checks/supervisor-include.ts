import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { includesDirectory } from "../supervisor-conf.ts";

/** supervisord reads the programs that cutover writes, and is reached by its socket alone. */
export function supervisorInclude({ supervisor, settings }: HostFacts): Finding[] {
  const { conf, files } = supervisor;
  const { conf_dir: directory, socket } = settings.supervisor;
  const found: Finding[] = [];
  if (files === undefined) {
    found.push(
      error("supervisor-include", {
        what: `${directory}, where supervisor's programs are to go, is no directory.`,
        why: "A deploy writes the programs of its release there.",
        fix: `Make it (\`mkdir -p ${directory}\`), or set supervisor.conf_dir in agent.yml.`,
      }),
    );
  }
  if (conf === undefined) return found;
  if (!includesDirectory(conf, directory)) {
    found.push(
      error("supervisor-include", {
        what: `${conf.path} has no [include] of ${directory}/*.conf.`,
        why: "supervisord would never see the programs that cutover writes, also not after a reboot.",
        fix: `Write \`[include]\` and under it \`files = ${directory}/*.conf\` into ${conf.path}, then \`supervisorctl reload\`.`,
      }),
    );
  }
  if (conf.ini.get("unix_http_server")?.get("file") === undefined) {
    found.push(
      error("supervisor-include", {
        what: `${conf.path} has no [unix_http_server] with a \`file\`.`,
        why: "The agent speaks with supervisord over that socket.",
        fix: `Write \`[unix_http_server]\` with \`file=${socket}\` and \`chmod=0700\`, then restart supervisord.`,
      }),
    );
  }
  if (conf.ini.has("inet_http_server")) {
    found.push(
      warning("supervisor-include", {
        what: `${conf.path} has an [inet_http_server].`,
        why: "Whoever reaches the port may run programs as root, and a second supervisord finds the port taken and does not start.",
        fix: "Take the section out: cutover and supervisorctl use the socket.",
      }),
    );
  }
  return found;
}
