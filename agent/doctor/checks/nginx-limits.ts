import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { settingOf } from "../nginx-config.ts";

/** nginx's own default. */
const usual = 512;

/** A visitor takes one connection, and the request to the app a second one. */
export function nginxLimits({ nginx }: HostFacts): Finding[] {
  const { configuration, master, main } = nginx;
  if (configuration.length === 0) return [];
  const connections = Number(settingOf(configuration, "events", "worker_connections") ?? usual);
  const named = settingOf(configuration, "worker_rlimit_nofile");
  const files = named === undefined ? master?.openFiles : Number(named);
  const found: Finding[] = [];
  if (files !== undefined && connections > files) {
    const limit = named === undefined ? "the limit of open files of nginx" : "worker_rlimit_nofile";
    found.push(
      error("nginx-limits", {
        what: `worker_connections is ${connections}, and ${limit} is ${files}.`,
        why: "A connection is an open file: under load nginx refuses visitors with `too many open files` long before it has that many connections.",
        fix: `Write \`worker_rlimit_nofile ${connections * 2};\` at the top of ${main}, or lower worker_connections.`,
      }),
    );
  }
  if (connections < usual) {
    found.push(
      warning("nginx-limits", {
        what: `worker_connections is ${connections}.`,
        why: `Each request takes two connections, so a worker serves ${Math.floor(connections / 2)} visitors at once and refuses further ones.`,
        fix: `Write \`worker_connections 1024;\` or more into the events block of ${main}.`,
      }),
    );
  }
  return found;
}
