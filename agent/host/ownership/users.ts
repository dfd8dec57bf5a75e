import { userInfo } from "node:os";
import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";
import { runTool } from "../exec/run-tool.ts";

/** Who an app's processes run as. */
export interface AppUser {
  name: string;
  home: string;
  /** Set where it is another user than the agent's own. */
  other?: { uid: number; gid: number };
}

/**
 * The user of an app. An agent without root runs everything as itself.
 * @param ownUser whether root may run an app as root, because its settings name no user
 * @throws CutoverError host_settings_invalid
 */
export async function appUser(settings: AppSettings, ownUser: boolean): Promise<AppUser> {
  const isRoot = process.geteuid?.() === 0;
  if (!isRoot || (settings.user === undefined && ownUser)) {
    const { username, homedir } = userInfo();
    return { name: username, home: homedir };
  }
  if (settings.user === undefined) {
    throw new CutoverError(
      "host_settings_invalid",
      `${settings.file} names no user, and an app must not run as root.`,
      {
        unchanged: "Nothing was changed.",
        fix: `Make one (\`useradd --system --create-home ${settings.app}\`) and write \`user: ${settings.app}\` into ${settings.file}.`,
      },
    );
  }
  const [name, , uid, gid, , home] = (await lookUp("passwd", settings.user)) ?? [];
  if (name === undefined || home === undefined) {
    throw new CutoverError(
      "host_settings_invalid",
      `This host has no user ${settings.user}, which ${settings.file} names.`,
      {
        unchanged: "Nothing was changed.",
        fix: `Make the user (\`useradd --system --create-home ${settings.user}\`), or correct \`user\` in ${settings.file}.`,
      },
    );
  }
  if (Number(uid) === 0) throw mustNot(settings, "run as root");
  return { name, home, other: { uid: Number(uid), gid: Number(gid) } };
}

/** @throws CutoverError host_settings_invalid where an app would be the agent itself */
export function assertNotAgent(settings: AppSettings, { other }: AppUser, agent: { uid: number } | undefined): void {
  if (agent !== undefined && other?.uid === agent.uid) throw mustNot(settings, "run as the agent's own user");
}

function mustNot({ file, user, app }: AppSettings, what: string): CutoverError {
  return new CutoverError("host_settings_invalid", `${file} names the user ${user}, and an app must not ${what}.`, {
    unchanged: "Nothing was changed.",
    fix: `Make one of its own (\`useradd --system --create-home ${app}\`) and write \`user: ${app}\` into ${file}.`,
  });
}

/**
 * The id of nginx's group; undefined for an agent without root, which cannot give files to another group.
 * @throws CutoverError host_settings_invalid
 */
export async function groupId(group: string): Promise<number | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  const gid = (await lookUp("group", group))?.[2];
  if (gid !== undefined) return Number(gid);
  throw new CutoverError(
    "host_settings_invalid",
    `This host has no group ${group}, which nginx.group in agent.yml names.`,
    {
      unchanged: "Nothing was changed.",
      fix: "Set nginx.group in agent.yml to the group of nginx's workers (on Debian www-data).",
    },
  );
}

/** undefined where this host has no user of the name. */
export async function userIds(user: string): Promise<{ uid: number; gid: number } | undefined> {
  const [, , uid, gid] = (await lookUp("passwd", user)) ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** One entry of the host's user database, also where it is LDAP; undefined where there is none of this name. */
async function lookUp(database: "passwd" | "group", name: string): Promise<string[] | undefined> {
  const { code, stdout } = await runTool("getent", [database, "--", name]);
  return code === 0 ? stdout.trim().split(":") : undefined;
}
