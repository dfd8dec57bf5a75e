import { basename } from "node:path";
import type { HelperFacts, HostFacts } from "../facts/facts.ts";
import { error, type Finding, warning } from "../finding.ts";
import { described, type Entry, type Identity, may } from "../permissions.ts";

const sticky = 0o1000;
const writable = 0o022;

/** An agent with a user of its own and its helper, which is root: who may ask the helper, and which files only root may write. */
export function helper({ helper, settings, apps, ownGroup }: HostFacts): Finding[] {
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
    ...wayFindings(helper),
    ...accessFindings(helper, user, settings.nginx.group, ownGroup),
    ...helper.settings.filter(notRoots).map((entry) =>
      error("helper", {
        what: `Others than root can change ${entry.path} (${described(entry)}).`,
        why: "The helper is root and does what this file says. So it refuses such a file, and deploys fail.",
        fix: `Check its content first, then \`chown root ${entry.path} && chmod go-w ${entry.path}\`.`,
      }),
    ),
    ...helper.settings
      .filter((entry) => closedTo(user, entry))
      .map((entry) =>
        error("helper", {
          what: `${user.name} may not read ${entry.path} (${described(entry)}).`,
          why: "The agent runs as this user and reads the host's settings at each call. So it refuses calls, or does not start.",
          fix: `\`chmod a+r${isDirectory(entry) ? "x" : ""} ${entry.path}\`: secrets are not in it, but in the app's own file of secrets.`,
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

/** systemd changes the owner of the socket's path, and follows a link that somebody puts in its place meanwhile. */
function wayFindings({ path, way }: HelperFacts): Finding[] {
  return way
    .filter((entry) => entry.uid !== 0 || ((entry.mode & writable) !== 0 && (entry.mode & sticky) === 0))
    .map((entry) =>
      error("helper", {
        what: `Others than root can write to ${entry.path} (${described(entry)}), where the helper's socket ${path} is.`,
        why: "They could make systemd give them a file of root's, and could answer in the helper's place.",
        fix: "Remove `helper` from agent.yml, so that it is /run/cutover-helper.sock, and let the socket unit listen there.",
      }),
    );
}

/** The agent opens the instances' sockets by access control lists, and needs no group for it. */
function accessFindings(
  { setfacl }: HelperFacts,
  { name, gids }: Identity,
  group: string,
  nginx: HostFacts["ownGroup"],
): Finding[] {
  const found: Finding[] = [];
  if (!setfacl) {
    found.push(
      error("helper", {
        what: "This host has no setfacl.",
        why: "The helper needs it to let the agent open the instances' sockets for health checks. So deploys fail.",
        fix: "`apt install acl`.",
      }),
    );
  }
  if (typeof nginx === "number" && gids.includes(nginx)) {
    found.push(
      warning("helper", {
        what: `${name} is in the group ${group} of nginx's workers.`,
        why: "Whoever takes the agent over can read all that this group may. The agent does not need it any more.",
        fix: `\`gpasswd --delete ${name} ${group}\`, then \`systemctl restart cutover-agent\`.`,
      }),
    );
  }
  return found;
}

/** It must list a directory of settings too, and only pass the one above. */
function closedTo(user: Identity, entry: Entry): boolean {
  if (!isDirectory(entry)) return !may("read", entry, user);
  return !may("pass", entry, user) || (basename(entry.path) === "apps" && !may("read", entry, user));
}

function isDirectory({ mode }: Entry): boolean {
  return (mode & 0o170000) === 0o040000;
}

function notRoots({ uid, mode }: Entry): boolean {
  return uid !== 0 || (mode & writable) !== 0;
}
