import { constants, lstatSync } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";
import { effect } from "../../effects.ts";
import type { Owner } from "./trees.ts";

const place = constants.O_RDONLY | constants.O_DIRECTORY;

export interface DirectoryRequest {
  mode: number;
  owner?: Owner | undefined;
  /**
   * The id of a user who may create entries next to it. A directory of that user, or a link, is refused. Where the directory
   * is to be this process's own, so is one of any other user: it may have been moved there.
   */
  untrusted?: number | undefined;
}

/**
 * Makes a directory, or sets mode and owner of the existing one.
 * @throws CutoverError host_settings_invalid if somebody else put something in its place: they could lead elsewhere what root
 * writes below it
 */
export async function makeDirectory(path: string, { mode, owner, untrusted }: DirectoryRequest): Promise<void> {
  await effect("directory.make", () => mkdir(path, { recursive: true }), path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const directory = await opened(path, untrusted === undefined ? place : place | constants.O_NOFOLLOW);
  try {
    const { uid, gid } = await directory.stat();
    if (untrusted !== undefined && isForeign(uid, owner?.uid, untrusted)) throw notOurs(path);
    if (owner !== undefined && (uid !== owner.uid || gid !== owner.gid)) await directory.chown(owner.uid, owner.gid);
    // After chown, and not by mkdir: a change of owner and the umask both clear bits of the mode.
    await directory.chmod(mode);
  } finally {
    await directory.close();
  }
}

/**
 * Whether a directory is this process's own. Where others may create entries next to it, what is not may be a link of theirs.
 */
export function isOwnDirectory(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isDirectory() === true && status.uid === process.geteuid?.();
}

/** @throws CutoverError host_settings_invalid if it is not this process's own directory */
export function assertOwnDirectory(path: string): void {
  if (!isOwnDirectory(path)) throw notOurs(path);
}

/** An app's own directory may still have the user that the app had before. */
function isForeign(uid: number, owner: number | undefined, untrusted: number): boolean {
  const own = process.geteuid?.();
  return owner === own ? uid !== own : uid === untrusted && uid !== owner;
}

async function opened(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw code === "ELOOP" || code === "ENOTDIR" ? notOurs(path, thrown) : thrown;
  }
}

function notOurs(path: string, cause?: unknown): CutoverError {
  return new CutoverError(
    "host_settings_invalid",
    `${path} must be a directory that cutover made itself, and not a link.`,
    {
      unchanged: "It was not changed, nor was what it leads to.",
      fix: "Move it away. To have the directory on another disk, mount that disk there; do not use a link.",
      cause,
    },
  );
}
