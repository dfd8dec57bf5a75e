import { availableParallelism } from "node:os";
import type { Config } from "../../../shared/config.ts";
import { workersOf } from "../../../shared/config-server.ts";
import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** How many files supervisord opens for one program: pipes and a log. */
const filesOfProgram = 5;

/** Programs inherit supervisord's limits. They must suffice for all instances twice, since a deploy has old and new ones. */
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
        what: `supervisord may have ${daemon.openFiles} open files, but ${programs} programs during a deploy need about ${files}.`,
        why: "It could not start the last instances of a new release, and not restart one that died.",
        fix: `Set \`minfds=${files * 2}\` under [supervisord] in ${where}, and restart supervisord.`,
      }),
    );
  }
  const processes = Math.max(0, ...live.map(processesOf)) * 2;
  if (daemon.processes !== undefined && processes > daemon.processes) {
    found.push(
      error("supervisor-limits", {
        what: `A user may have ${daemon.processes} processes under supervisord, but an app needs ${processes} during a deploy.`,
        why: "fork fails with `Resource temporarily unavailable`, and instances start without their workers.",
        fix: `Set \`minprocs=${processes * 2}\` under [supervisord] in ${where}, and restart supervisord.`,
      }),
    );
  }
  if (daemon.umask !== undefined && (daemon.umask & 0o022) !== 0o022) {
    found.push(
      warning("supervisor-limits", {
        what: `supervisord runs with the umask ${daemon.umask.toString(8).padStart(3, "0")}.`,
        why: "Other users may write to files that it creates, such as logs.",
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
  const { instances, threads = 1 } = config.server;
  return programsOf(config) + instances * workersOf(config.server, availableParallelism()) * threads;
}
