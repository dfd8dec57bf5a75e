import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** An agent without root and without a helper runs apps as its own user, so there is nothing to check. */
export function appUsers({ apps, nginx, settings }: HostFacts): Finding[] {
  return apps.flatMap(({ file, app, settings: own, user }): Finding[] => {
    if (own?.user === undefined) return [];
    if (user === undefined) {
      return [
        error("app-users", {
          what: `This host has no user ${own.user}, which ${file} names.`,
          why: "Instances, processes, pip and the release command run as this user. A deploy fails before it starts anything.",
          fix: `Make it: \`useradd --system --create-home ${own.user}\`.`,
        }),
      ];
    }
    const found: Finding[] = [];
    if (user.uid === 0) {
      found.push(
        error("app-users", {
          what: `${app} would run as root: ${file}.`,
          why: "Everybody who may push to the repository would have root on this host.",
          fix: `Make a user (\`useradd --system --create-home ${app}\`) and write \`user: ${app}\`.`,
        }),
      );
    }
    if (nginx.worker !== undefined && user.uid !== 0 && user.uid === nginx.worker.uid) {
      found.push(
        warning("app-users", {
          what: `${app} runs as the user of nginx's workers (${settings.nginx.group}).`,
          why: "If somebody breaks into the app, they can open the sockets and static files of all other apps.",
          fix: `Give it a user of its own: \`useradd --system --create-home ${app}\`, and \`user: ${app}\` in ${file}.`,
        }),
      );
    }
    return found;
  });
}
