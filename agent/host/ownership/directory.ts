import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { CutoverError } from "../../../shared/errors.ts";
import { effect } from "../../effects.ts";
import type { Owner } from "./trees.ts";

const place = constants.O_RDONLY | constants.O_DIRECTORY;

export interface DirectoryRequest {
  mode: number;
  owner?: Owner | undefined;
  /** A user who may make entries beside it: what is that user's, or a link, is refused and not taken for ours. */
  untrusted?: number | undefined;
}

/**
 * Makes a directory, or gives the one that is there this mode and owner.
 * @throws CutoverError host_settings_invalid where somebody else put something in its place: what root writes below it
 * would be theirs to lead elsewhere
 */
export async function makeDirectory(path: string, { mode, owner, untrusted }: DirectoryRequest): Promise<void> {
  await effect("directory.make", () => mkdir(path, { recursive: true }), path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const directory = await opened(path, untrusted === undefined ? place : place | constants.O_NOFOLLOW);
  try {
    const { uid, gid } = await directory.stat();
    if (uid === untrusted && uid !== owner?.uid) throw notOurs(path);
    if (owner !== undefined && (uid !== owner.uid || gid !== owner.gid)) await directory.chown(owner.uid, owner.gid);
    // After the owner, and apart from mkdir: neither the umask nor a change of owner takes a bit away.
    await directory.chmod(mode);
  } finally {
    await directory.close();
  }
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
  return new CutoverError("host_settings_invalid", `${path} must be a directory that cutover made itself.`, {
    unchanged: "It was left as it is, and so was what it leads to.",
    fix: "Move it away. To have it on another disk, mount that there instead of a link.",
    cause,
  });
}
