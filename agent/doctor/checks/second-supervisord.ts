import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** One supervisord has our programs: a second one would start them again, or take the port and the socket. */
export function secondSupervisord({ supervisor, settings }: HostFacts): Finding[] {
  const { daemon, daemons, conf } = supervisor;
  const { conf_dir: directory, socket } = settings.supervisor;
  const others = daemons.filter(({ pid }) => pid !== daemon?.pid);
  return others.flatMap((other): Finding[] => {
    const name = `supervisord ${other.pid}${other.conf === undefined ? "" : ` (${other.conf})`}`;
    const same = other.conf !== undefined && other.conf === conf?.path;
    if (daemon === undefined ? same : same || other.includes || other.socket === socket) {
      return [
        error("second-supervisord", {
          what:
            daemon === undefined
              ? `${name} runs, but does not answer on ${socket}.`
              : `A second ${name} runs beside ${daemon.pid}, with the same programs (${directory}) or the same socket.`,
          why: "Each starts the same programs, which then fight for sockets and ports; what one is told the other does not know.",
          fix: `End it: \`kill ${other.pid}\`. Start supervisord by systemd alone, never by hand beside it.`,
        }),
      ];
    }
    return [
      warning("second-supervisord", {
        what: `Another ${name} runs on this host.`,
        why: "Where both use the same port, socket or log, the one that starts later fails, and after a reboot that may be ours.",
        fix: "If it is a left-over, end it; otherwise see that its files and ports are its own.",
      }),
    ];
  });
}
