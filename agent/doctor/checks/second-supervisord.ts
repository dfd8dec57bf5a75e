import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/**
 * Only one supervisord may have our programs: a second one would start them again, or take its port and socket. If none answers
 * where agent.yml says, nothing tells which of them is ours, and a person who ends one ends all of its programs: so
 * `supervisor-runs` names them instead.
 */
export function secondSupervisord({ supervisor, settings }: HostFacts): Finding[] {
  const { daemon, daemons, conf } = supervisor;
  const { conf_dir: directory, socket } = settings.supervisor;
  if (daemon === undefined) return [];
  return daemons
    .filter(({ pid }) => pid !== daemon.pid)
    .map((other) => {
      const name = `supervisord ${other.pid}${other.conf === undefined ? "" : ` (${other.conf})`}`;
      const same = other.conf !== undefined && other.conf === conf?.path;
      if (same || other.includes || other.socket === socket) {
        return error("second-supervisord", {
          what: `A second ${name} runs in addition to ${daemon.pid}, with the same programs (${directory}) or the same socket.`,
          why: "Both start the same programs, which then compete for sockets and ports, and neither sees what the other does.",
          fix: `End it: \`kill ${other.pid}\`. Start supervisord only with systemd, never by hand.`,
        });
      }
      return warning("second-supervisord", {
        what: `Another ${name} runs on this host.`,
        why: "If both use the same port, socket or log, the one that starts later fails. After a reboot that may be ours.",
        fix: "If it is not needed, end it. Otherwise give it files and ports of its own.",
      });
    });
}
