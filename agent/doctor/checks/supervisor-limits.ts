import type { Config } from "../../../shared/config.ts";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** What supervisord opens for one program: pipes and a log. */
const filesOfProgram = 5;

/** supervisord's own limits, which its programs inherit, are enough for all instances twice: a deploy has old and new. */
export function supervisorLimits({ apps, supervisor }: HostFacts): Finding[] {
  const { daemon, conf } = supervisor;
  if (daemon === undefined) return [];
  const where = conf?.path ?? "supervisord.conf";
  const live = apps.flatMap(({ live }) => (live === undefined ? [] : [live]));
  const found: Finding[] = [];
  const programs = live.reduce((sum, config) => sum + programsOf(config), 0) * 2;
  const files = programs * filesOfProgram + 64;
  if (daemon.openFiles !== undefined && files > daemon.openFiles) {
    found.push(
      error("supervisor-limits", {
        what: `supervisord may have ${daemon.openFiles} open files, and ${programs} programs during a deploy take about ${files}.`,
        why: "It could not start the new release's last instances, nor restart one that died.",
        fix: `Set \`minfds=${files * 2}\` under [supervisord] in ${where}, and restart supervisord.`,
      }),
    );
  }
  const processes = Math.max(0, ...live.map(processesOf)) * 2;
  if (daemon.processes !== undefined && processes > daemon.processes) {
    found.push(
      error("supervisor-limits", {
        what: `A user may have ${daemon.processes} processes under supervisord, and an app takes ${processes} during a deploy.`,
        why: "fork fails with `Resource temporarily unavailable`, and instances come up without their workers.",
        fix: `Set \`minprocs=${processes * 2}\` under [supervisord] in ${where}, and restart supervisord.`,
      }),
    );
  }
  if (daemon.umask !== undefined && (daemon.umask & 0o022) !== 0o022) {
    found.push(
      warning("supervisor-limits", {
        what: `supervisord runs with the umask ${daemon.umask.toString(8).padStart(3, "0")}.`,
        why: "Files that it makes, such as logs, can be written by others.",
        fix: `Set \`umask=022\` under [supervisord] in ${where}, and restart supervisord.`,
      }),
    );
  }
  return found;
}

function programsOf({ server, processes }: Config): number {
  return server.instances + Object.values(processes).reduce((sum, { instances }) => sum + instances, 0);
}

function processesOf(config: Config): number {
  const { instances, workers, threads } = config.server;
  return programsOf(config) + instances * workers * threads;
}
