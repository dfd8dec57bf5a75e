import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";

/** Only an agent of root's runs apps as other users. */
export function appUsers({ apps, nginx, settings }: HostFacts): Finding[] {
  return apps.flatMap(({ file, app, settings: own, user }): Finding[] => {
    if (own?.user === undefined) return [];
    if (user === undefined) {
      return [
        error("app-users", {
          what: `This host has no user ${own.user}, which ${file} names.`,
          why: "The app's processes, pip and the release command run as this user; a deploy fails before it starts.",
          fix: `Make it: \`useradd --system --create-home ${own.user}\`.`,
        }),
      ];
    }
    const found: Finding[] = [];
    if (user.uid === 0) {
      found.push(
        error("app-users", {
          what: `${app} would run as root: ${file}.`,
          why: "Whoever may push to the repository would own the host.",
          fix: `Make a user (\`useradd --system --create-home ${app}\`) and write \`user: ${app}\`.`,
        }),
      );
    }
    if (nginx.worker !== undefined && user.uid !== 0 && user.uid === nginx.worker.uid) {
      found.push(
        warning("app-users", {
          what: `${app} runs as the user of nginx's workers (${settings.nginx.group}).`,
          why: "An app that is broken into could then read every other app's sockets and static files.",
          fix: `Give it a user of its own: \`useradd --system --create-home ${app}\`, and \`user: ${app}\` in ${file}.`,
        }),
      );
    }
    return found;
  });
}
