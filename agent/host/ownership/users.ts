import { userInfo } from "node:os";
import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";
import { runTool } from "../exec/run-tool.ts";

/** The user that an app's processes run as. */
export interface AppUser {
  name: string;
  home: string;
  /** Set if it is another user than the one of this process. */
  other?: { uid: number; gid: number };
}

/**
 * The user of an app. An agent without root runs everything as its own user.
 * @param ownUser whether root may run an app as root if its settings name no user
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
        fix: `Create one (\`useradd --system --create-home ${settings.app}\`) and write \`user: ${settings.app}\` into ${settings.file}.`,
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
        fix: `Create the user (\`useradd --system --create-home ${settings.user}\`), or correct \`user\` in ${settings.file}.`,
      },
    );
  }
  if (Number(uid) === 0) throw mustNot(settings, "run as root");
  return { name, home, other: { uid: Number(uid), gid: Number(gid) } };
}

/** @throws CutoverError host_settings_invalid if an app would run as the agent's own user */
export function assertNotAgent(settings: AppSettings, { other }: AppUser, agent: { uid: number } | undefined): void {
  if (agent !== undefined && other?.uid === agent.uid) throw mustNot(settings, "run as the agent's own user");
}

function mustNot({ file, user, app }: AppSettings, what: string): CutoverError {
  return new CutoverError("host_settings_invalid", `${file} names the user ${user}, and an app must not ${what}.`, {
    unchanged: "Nothing was changed.",
    fix: `Create one for it (\`useradd --system --create-home ${app}\`) and write \`user: ${app}\` into ${file}.`,
  });
}

/**
 * The id of nginx's group; undefined without root, because then files cannot get another group.
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

/** The ids of a user; undefined if this host has no such user. */
export async function userIds(user: string): Promise<{ uid: number; gid: number } | undefined> {
  const [, , uid, gid] = (await lookUp("passwd", user)) ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** One entry of the host's user database, which may be LDAP; undefined if there is none with this name. */
async function lookUp(database: "passwd" | "group", name: string): Promise<string[] | undefined> {
  const { code, stdout } = await runTool("getent", [database, "--", name]);
  return code === 0 ? stdout.trim().split(":") : undefined;
}
