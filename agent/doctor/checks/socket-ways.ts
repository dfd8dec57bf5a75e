import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding } from "../finding.ts";
import { described, obstacle } from "../permissions.ts";

/** nginx's workers can open each socket and each static file, and the app's user can reach its release. */
export function socketWays({ apps, nginx, settings, ownGroup }: HostFacts): Finding[] {
  const found = new Map<string, Finding>();
  const { worker } = nginx;
  for (const { app, user, ways } of apps) {
    for (const { entries } of ways) {
      const closed = worker && obstacle(entries, worker);
      if (worker !== undefined && closed !== undefined) {
        const socket = closed.path.endsWith(".sock");
        found.set(
          closed.path,
          error("socket-ways", {
            what: `nginx's workers may not ${socket ? "open" : "pass"} ${closed.path} (${described(closed)}; they are user ${worker.uid}, groups ${worker.gids.join(", ")}).`,
            why: `It is on the path to the sockets and static files of ${app}, so visitors get 502 or 403.`,
            fix: socket
              ? `Run \`cutover redeploy ${app}\`: new sockets have the group ${settings.nginx.group}.`
              : `\`chmod o+x ${closed.path}\`, or give the directory a group of nginx's workers, and this group the x bit.`,
          }),
        );
      }
      const barred =
        user &&
        obstacle(
          entries.filter(({ path }) => !path.endsWith(".sock")),
          user,
        );
      if (barred !== undefined && !found.has(barred.path)) {
        found.set(
          barred.path,
          error("socket-ways", {
            what: `${user?.name} may not pass ${barred.path} (${described(barred)}).`,
            why: `It is on the path to the releases of ${app}, which run as this user.`,
            fix: `\`chmod o+x ${barred.path}\`.`,
          }),
        );
      }
    }
  }
  return [...(worker === undefined ? [] : groupFindings(worker, settings.nginx.group, ownGroup)), ...found.values()];
}

function groupFindings(worker: { uid: number; gids: number[] }, group: string, own: HostFacts["ownGroup"]): Finding[] {
  if (worker.uid === 0 || own === "not root") return [];
  if (own !== "none" && worker.gids.includes(own)) return [];
  return [
    error("socket-ways", {
      what:
        own === "none"
          ? `This host has no group ${group}, which nginx.group in agent.yml names.`
          : `nginx's workers are not in the group ${group}, which nginx.group in agent.yml names.`,
      why: "Only that group may open the directories of sockets, so visitors of every app would get 502.",
      fix: "Set nginx.group in agent.yml to the group of nginx's workers (on Debian www-data), then redeploy the apps.",
    }),
  ];
}
