import { lstat, open, readFile, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { changeEnvFile } from "../../../shared/env-file.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { appName } from "../../../shared/names.ts";
import { parseYamlFile } from "../../../shared/yaml-file.ts";
import { inOwnerDirectory, type OwnerDirectory, readEntry, readOwnerFile } from "../../host/ownership/owner-file.ts";
import { userIds } from "../../host/ownership/users.ts";
import { syncDirectory } from "../../host/store/durable.ts";
import { appSettingsSchema } from "../../settings.ts";
import type { Places } from "./places.ts";

/** An app's file of secrets. */
export interface EnvFile {
  path: string;
  /** The id of the app's user, who may have the file in a directory of its own, if that is not the user of this process. */
  user: number | undefined;
}

/** The one that the app's settings name, else apps/<app>.env. @throws CutoverError app_not_found, host_settings_invalid */
export async function envFileOf(places: Places, app: string): Promise<EnvFile> {
  // It becomes part of a path.
  if (!appName.safeParse(app).success) throw noSuchName(app);
  const settings = places.appFile(app);
  const text = await readFile(settings, "utf8").catch((cause: NodeJS.ErrnoException) => {
    const missing = cause.code === "ENOENT";
    const message = missing
      ? `This host has no app ${app}: ${settings} does not exist.`
      : `${settings} cannot be read.`;
    throw new CutoverError(missing ? "app_not_found" : "host_settings_invalid", message, {
      unchanged: "Nothing was changed.",
      fix: missing
        ? `Run \`cutover app add ${app}\` first, or give another directory with --config or --embedded.`
        : "Run it as root, or as the user of the embedded agent.",
      cause,
    });
  });
  const errors = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;
  const { env_file: named = `${app}.env`, user } = parseYamlFile(text, settings, appSettingsSchema, errors);
  const path = resolve(dirname(settings), named);
  // Where the app's user has put a link, root would change another's file.
  const isRoot = process.geteuid?.() === 0 && user !== undefined;
  return { path, user: isRoot ? await idOf(user) : undefined };
}

/** @throws CutoverError host_settings_invalid if the host has no such user */
async function idOf(user: string): Promise<number> {
  const ids = await userIds(user);
  if (ids !== undefined) return ids.uid;
  throw new CutoverError("host_settings_invalid", `This host has no user ${user}.`, {
    unchanged: "The app's environment is as it was.",
    fix: "Make the user, or correct `user` in the app's file.",
  });
}

function noSuchName(app: string): CutoverError {
  return new CutoverError("app_not_found", `No app can have the name ${JSON.stringify(app)}.`, {
    unchanged: "Nothing was changed.",
    fix: "`cutover app list` lists the apps of this host.",
  });
}

/** The file's text; empty if the file does not exist yet. @throws CutoverError host_settings_invalid */
export async function readEnvFile({ path, user }: EnvFile): Promise<string> {
  try {
    return await readOwnerFile(path, user);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw cause instanceof CutoverError ? cause : unwritable(path, cause);
  }
}

/**
 * Changes the file in one step: it loses nothing that another command writes at the same time, and a crash leaves the old
 * text or the new one. Only its owner can read it, who is the owner of the directory.
 * @throws CutoverError environment_invalid, host_settings_invalid; never with a value in it
 */
export async function updateEnvFile(named: EnvFile, changes: Record<string, string | undefined>): Promise<void> {
  // Says first whether the way to it is anybody else's.
  await readEnvFile(named);
  const path = await realpath(named.path).catch(() => named.path);
  try {
    await inOwnerDirectory({ file: path, named: named.path }, named.user, (directory) =>
      replaceIn(directory, { ...named, path }, changes),
    );
  } catch (error) {
    throw error instanceof CutoverError ? error : unwritable(path, error);
  }
}

async function replaceIn(
  directory: OwnerDirectory,
  { path, user }: EnvFile,
  changes: Record<string, string | undefined>,
): Promise<void> {
  const name = basename(path);
  const temporary = directory.at(`${name}.tmp`);
  const draft = await openExclusively(temporary);
  try {
    const next = changeEnvFile(await readIfThere(directory, name, user), changes);
    if (next === undefined) throw openQuote(path);
    await draft.writeFile(next);
    await draft.chmod(0o600);
    if (process.geteuid?.() === 0 && directory.uid !== 0) await draft.chown(directory.uid, directory.gid);
    await draft.sync();
    await rename(temporary, directory.at(name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await draft.close();
  }
  await syncDirectory(directory.at("."));
}

async function readIfThere(directory: OwnerDirectory, name: string, user: number | undefined): Promise<string> {
  try {
    return await readEntry(directory, name, user);
  } catch (thrown) {
    // A link that leads nowhere makes way for the file, as does nothing.
    if (["ENOENT", "ELOOP"].includes((thrown as NodeJS.ErrnoException).code ?? "")) return "";
    throw thrown;
  }
}

/** How long a command waits for another one, in milliseconds. */
const longestMs = 20_000;

/** The temporary file is also the lock: it exists for milliseconds, unless a command was killed in between. */
async function openExclusively(temporary: string) {
  for (let waited = 0; waited < longestMs; waited += 50) {
    try {
      return await open(temporary, "wx", 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (waited > 10_000 || (await isLeft(temporary))) await rm(temporary, { force: true });
      await sleep(50);
    }
  }
  throw Object.assign(new Error("the lock is taken"), { code: "EAGAIN" });
}

/** Whether a command that was killed has left it. @throws Error EISDIR if it can be nobody's lock */
async function isLeft(temporary: string): Promise<boolean> {
  const entry = await lstat(temporary).catch(() => undefined);
  if (entry?.isDirectory() === true) throw Object.assign(new Error("a directory"), { code: "EISDIR" });
  return entry !== undefined && Date.now() - entry.mtimeMs > 10_000;
}

function openQuote(file: string): CutoverError {
  return new CutoverError(
    "environment_invalid",
    `${file} has a line with an open quote, so cutover cannot change the file safely.`,
    {
      unchanged: "The file is as it was.",
      fix: "Close the quote with an editor, then run it again.",
    },
  );
}

const fixes: Record<string, string> = {
  ENOENT: "Make its directory, or correct `env_file` in the app's file.",
  ENOSPC: "Make room on that disk, and run it again.",
  EROFS: "That disk may only be read: choose another `env_file` in the app's file.",
  EISDIR: "A directory is in its place, or in that of its `.tmp`: remove it, and run it again.",
  EAGAIN: "Its `.tmp` comes again and again: somebody else makes it. End that, and run it again.",
};

function unwritable(file: string, cause: unknown): CutoverError {
  const why = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
  return new CutoverError("host_settings_invalid", `${basename(file)} in ${dirname(file)} cannot be changed: ${why}.`, {
    unchanged: "The app's environment is as it was.",
    fix: fixes[why] ?? "Run it as root, or as the user of the embedded agent.",
    // Without the cause, which may quote a value.
  });
}
