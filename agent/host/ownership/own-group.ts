import { CutoverError } from "../../../shared/errors.ts";
import type { AppSettings } from "../../settings.ts";
import { runTool } from "../exec/run-tool.ts";
import type { AppUser } from "./users.ts";

/**
 * The primary group of an app's user can read the app's launch files, which hold its secrets. So it must be the user's alone.
 * @throws CutoverError host_settings_invalid
 */
export async function assertOwnGroup({ app, file }: Pick<AppSettings, "app" | "file">, user: AppUser): Promise<void> {
  if (user.other === undefined) return;
  const { name, members } = await groupSharers(user.name, user.other);
  if (members.length === 0) return;
  throw new CutoverError("host_settings_invalid", `${sharedGroup(user.name, name, members)} (${file}).`, {
    unchanged: "Nothing was changed. The live release goes on serving.",
    fix: `Give ${user.name} a group of its own: \`${ownGroupCommand(user.name)}\`, then \`cutover redeploy ${app}\`.`,
  });
}

export function sharedGroup(user: string, group: string, members: string[]): string {
  const shown = members.slice(0, 5).join(", ") + (members.length > 5 ? ` and ${members.length - 5} more` : "");
  return `The primary group of ${user} is ${group}, which is also the group of ${shown}, who could read the app's secrets`;
}

/** What gives a user a primary group of its own, also where a group of that name exists. */
export function ownGroupCommand(user: string): string {
  return `groupadd --force --system ${user} && usermod --gid ${user} ${user}`;
}

/**
 * The other users of a group: those who have it as their primary group, and its members. A user database that does not list
 * all of its users (LDAP) shows only some of them.
 */
export async function groupSharers(
  user: string,
  { uid, gid }: { uid: number; gid: number },
): Promise<{ name: string; members: string[] }> {
  const [users, group] = await Promise.all([entries(["passwd"]), entries(["group", "--", String(gid)])]);
  const primary = users.filter(([, , id, group]) => Number(group) === gid && Number(id) !== uid).map(([name]) => name);
  const [name = String(gid), , , members = ""] = group[0] ?? [];
  const listed = members.split(",").filter((each) => each !== "" && each !== user);
  return { name, members: [...new Set([...primary, ...listed])].filter((each) => each !== undefined) };
}

async function entries(words: string[]): Promise<string[][]> {
  const { stdout } = await runTool("getent", words);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(":"));
}
