import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";
import { described, obstacle } from "../permissions.ts";

type App = HostFacts["apps"][number];
type Entries = App["ways"][number]["entries"];
type Worker = NonNullable<HostFacts["nginx"]["worker"]>;

/** nginx's workers can open each socket and each static file, and the app's user can reach its release. */
export function socketWays({ apps, nginx, settings, ownGroup }: HostFacts): Finding[] {
  /** By the path that is closed. If both nginx and the app's user need it, nginx's finding stands. */
  const found = new Map<string, Finding>();
  const { worker } = nginx;
  for (const app of apps) {
    for (const { entries } of app.ways) {
      const closed = closedToNginx(app, entries, worker, settings.nginx.group);
      if (closed !== undefined) found.set(closed.path, closed.finding);
      const barred = closedToUser(app, entries);
      if (barred !== undefined && !found.has(barred.path)) found.set(barred.path, barred.finding);
    }
  }
  return [...(worker === undefined ? [] : groupFindings(worker, settings.nginx.group, ownGroup)), ...found.values()];
}

interface Closed {
  path: string;
  finding: Finding;
}

function closedToNginx(
  { app, home }: App,
  entries: Entries,
  worker: Worker | undefined,
  group: string,
): Closed | undefined {
  const closed = worker && obstacle(entries, worker);
  if (worker === undefined || closed === undefined) return undefined;
  const { path } = closed;
  const socket = path.endsWith(".sock");
  const finding = error("socket-ways", {
    what: `nginx's workers may not ${socket ? "open" : "pass"} ${path} (${described(closed)}; they are user ${worker.uid}, groups ${worker.gids.join(", ")}).`,
    why: `It is on the path to the sockets and static files of ${app}, so visitors get 502 or 403.`,
    // A run's directory that is open to all would open its sockets to every user of the host.
    fix:
      socket || path.startsWith(`${home}/run/`)
        ? `Run \`cutover redeploy ${app}\`: new sockets and their directories have the group ${group}.`
        : `\`chmod o+x ${path}\`, or give the directory a group of nginx's workers, and this group the x bit.`,
  });
  return { path, finding };
}

function closedToUser({ app, user }: App, entries: Entries): Closed | undefined {
  if (user === undefined) return undefined;
  const directories = entries.filter(({ path }) => !path.endsWith(".sock"));
  const closed = obstacle(directories, user);
  if (closed === undefined) return undefined;
  const { path } = closed;
  const finding = error("socket-ways", {
    what: `${user.name} may not pass ${path} (${described(closed)}).`,
    why: `It is on the path to the releases of ${app}, which run as this user.`,
    fix: `\`chmod o+x ${path}\`.`,
  });
  return { path, finding };
}

function groupFindings(worker: Worker, group: string, own: HostFacts["ownGroup"]): Finding[] {
  if (worker.uid === 0 || own === "not root") return [];
  if (own !== "none" && worker.gids.includes(own)) return [];
  return [
    error("socket-ways", {
      what:
        own === "none"
          ? `This host has no group ${group}, which nginx.group in agent.yml names.`
          : `nginx's workers (groups ${worker.gids.join(", ")}) are not in the group ${group}, which nginx.group in agent.yml names.`,
      why: "Only that group may open the directories of sockets, so visitors of every app would get 502.",
      fix: `Set nginx.group in agent.yml to the group of nginx's workers: \`getent group ${worker.gids[0] ?? "www-data"}\` has its name. Then \`systemctl restart cutover-agent\`, and \`cutover redeploy\` each app.`,
    }),
  ];
}
