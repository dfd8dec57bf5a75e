import type { HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described, type Entry } from "../permissions.ts";

const sticky = 0o1000;
const writable = 0o022;

/** An agent with a user of its own and its helper, which is root: who may ask the helper, and which files only root may write. */
export function helper({ helper, settings, apps }: HostFacts): Finding[] {
  if (helper === undefined) return [];
  const { user, socket, path } = helper;
  if (user === undefined || user.uid === 0) {
    const { agent_user: name } = settings;
    const what =
      user === undefined
        ? `This host has no user ${name}, which agent.yml names as agent_user.`
        : `The agent must not be root, but ${name}, which agent.yml names as agent_user, is root.`;
    return [
      error("helper", {
        what,
        why: "The helper answers only that user, so nothing can be deployed.",
        fix: `\`useradd --system ${name}\`, or correct agent_user, then restart the agent.`,
      }),
    ];
  }
  return [
    ...socketFindings(socket, path, user.gids),
    ...helper.settings.filter(notRoots).map((entry) =>
      error("helper", {
        what: `Others than root can change ${entry.path} (${described(entry)}).`,
        why: "The helper is root and does what this file says. So it refuses such a file, and deploys fail.",
        fix: `Check its content first, then \`chown root ${entry.path} && chmod go-w ${entry.path}\`.`,
      }),
    ),
    ...helper.directories
      .filter((entry) => entry.uid !== 0 || ((entry.mode & writable) !== 0 && (entry.mode & sticky) === 0))
      .map((entry) =>
        error("helper", {
          what: `${entry.path} must belong to root and have the sticky bit (now ${described(entry)}).`,
          why: "The agent could replace files that the helper, which is root, writes.",
          fix: `\`chown root ${entry.path} && chmod +t ${entry.path}\`; the next deploy sets the rest.`,
        }),
      ),
    ...apps
      .filter((app) => app.user?.uid === user.uid)
      .map(({ app, file }) =>
        error("helper", {
          what: `${app} would run as the agent's own user: ${file}.`,
          why: "The app could deploy, and read the agent's files. So the helper refuses it.",
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
        what: `The helper's socket ${path} does not exist.`,
        why: "An agent that is not root cannot deploy without it. The sites keep serving.",
        fix: `${start}, and check \`helper\` in agent.yml.`,
      }),
    ];
  }
  if ((socket.mode & 0o007) === 0 && socket.uid === 0 && groups.includes(socket.gid)) return [];
  return [
    error("helper", {
      what: `The helper's socket ${path} is open to others than root and the agent's group, or closed to these (${described(socket)}).`,
      why: "The helper checks who connects, but nobody else should get that far.",
      fix: `Let the socket unit create it again with SocketMode=0660 and the agent's group: ${start}.`,
    }),
  ];
}

/** The group of an app's user can read its launch files, which hold its secrets. */
function sharedGroups(apps: HostFacts["apps"]): Finding[] {
  return apps.flatMap(({ app, user }, index) => {
    const other = apps.find(
      (each, at) => at < index && each.user?.gids[0] === user?.gids[0] && each.user?.uid !== user?.uid,
    );
    if (user === undefined || other === undefined) return [];
    return [
      warning("helper", {
        what: `The users of ${app} and ${other.app} have the same group ${user.gids[0]}.`,
        why: "Each app can read the secrets of the other: the group can read the launch files, which hold them.",
        fix: `Give each user a group of its own: \`groupadd --system ${user.name} && usermod -g ${user.name} ${user.name}\`, then redeploy.`,
      }),
    ];
  });
}

function notRoots({ uid, mode }: Entry): boolean {
  return uid !== 0 || (mode & writable) !== 0;
}
