import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described, type Entry } from "../permissions.ts";

const sticky = 0o1000;
const writable = 0o022;

/** The agent of its own user and the helper of root's: who may ask, and what only root may have made. */
export function helper({ helper, settings, apps }: HostFacts): Finding[] {
  if (helper === undefined) return [];
  const { user, socket, path } = helper;
  if (user === undefined || user.uid === 0) {
    const what = user === undefined ? "This host has no user" : "The agent must not be root, as is";
    return [
      error("helper", {
        what: `${what} ${settings.agent_user}, which agent.yml has as agent_user.`,
        why: "The helper answers that user alone, so nothing can be deployed.",
        fix: `\`useradd --system ${settings.agent_user}\`, or correct agent_user, then restart the agent.`,
      }),
    ];
  }
  return [
    ...socketFindings(socket, path, user.gids),
    ...helper.settings.filter(notRoots).map((entry) =>
      error("helper", {
        what: `${entry.path} can be changed by others than root (${described(entry)}).`,
        why: "The helper, which is root, does what stands there; so it refuses such a file, and deploys fail.",
        fix: `\`chown root ${entry.path} && chmod go-w ${entry.path}\`, after a look at what stands there.`,
      }),
    ),
    ...helper.directories
      .filter((entry) => entry.uid !== 0 || ((entry.mode & writable) !== 0 && (entry.mode & sticky) === 0))
      .map((entry) =>
        error("helper", {
          what: `${entry.path} is not root's with the sticky bit (${described(entry)}).`,
          why: "The agent could put something else where the helper, which is root, writes.",
          fix: `\`chown root ${entry.path} && chmod +t ${entry.path}\`; the next deploy sets the rest.`,
        }),
      ),
    ...apps
      .filter((app) => app.user?.uid === user.uid)
      .map(({ app, file }) =>
        error("helper", {
          what: `${app} would run as the agent's own user: ${file}.`,
          why: "The app could deploy, and read the tokens' and the agent's files; the helper refuses it.",
          fix: `Make a user (\`useradd --system --create-home ${app}\`) and write \`user: ${app}\`.`,
        }),
      ),
    ...sharedGroups(apps),
  ];
}

function socketFindings(socket: Entry | undefined, path: string, groups: number[]): Finding[] {
  const start = "`systemctl enable --now cutover-helper.socket`";
  if (socket === undefined) {
    return [
      error("helper", {
        what: `The helper's socket is not there: ${path}.`,
        why: "An agent that is not root cannot deploy without it; the sites are served.",
        fix: `${start}, and check \`helper\` in agent.yml.`,
      }),
    ];
  }
  if ((socket.mode & 0o007) === 0 && socket.uid === 0 && groups.includes(socket.gid)) return [];
  return [
    error("helper", {
      what: `The helper's socket ${path} is not for root and the agent's group alone (${described(socket)}).`,
      why: "The helper looks at who connects, but nobody else should get as far.",
      fix: `Let the socket unit make it anew, with SocketMode=0660 and the agent's group: ${start}.`,
    }),
  ];
}

/** Launch files, which hold an app's secrets, are for the group of its user. */
function sharedGroups(apps: HostFacts["apps"]): Finding[] {
  return apps.flatMap(({ app, user }, index) => {
    const other = apps.find(
      (each, at) => at < index && each.user?.gids[0] === user?.gids[0] && each.user?.uid !== user?.uid,
    );
    if (user === undefined || other === undefined) return [];
    return [
      warning("helper", {
        what: `${app} and ${other.app} have users with the same group ${user.gids[0]}.`,
        why: "Each could read the other's secrets, which their launch files hold for that group.",
        fix: `Give each user a group of its own: \`groupadd --system ${user.name} && usermod -g ${user.name} ${user.name}\`, then redeploy.`,
      }),
    ];
  });
}

function notRoots({ uid, mode }: Entry): boolean {
  return uid !== 0 || (mode & writable) !== 0;
}
