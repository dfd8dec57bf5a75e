import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { runTool } from "../exec/run-tool.ts";

/**
 * Files that the host's owner names, and root reads. Such a file may lie in a directory of an app's user, who could put a link
 * there to what only root may read, such as another app's secrets, or a pipe to wait for.
 */

const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** O_PATH, which Node has no name for: what is at a path is looked at, and not opened. */
const pathOnly = 0o10000000;
const longest = 4 * 1024 ** 2;
/** As many as the kernel follows. */
const mostLinks = 40;

/**
 * The text of such a file. Nobody can have led root to it but root and the file's owner; or it is the app's user's own.
 * @param user the id of the app's user, if that is not the user of this process
 * @throws the system's error if it cannot be opened; CutoverError host_settings_invalid
 */
export function readOwnerFile(path: string, user: number | undefined): Promise<string> {
  return read({ path, named: path }, async ({ uid }) => {
    // After it was opened: a directory of somebody else's that led there cannot have left the way since.
    if (user !== undefined && uid !== user) await assertWay(path, uid, user);
  });
}

/** The text of a file that anybody may have named. @param most in bytes @throws as `readOwnerFile` */
export function readPlainFile(path: string, most = longest): Promise<string> {
  return read({ path, named: path, most }, async () => undefined);
}

interface Wanted {
  path: string;
  /** For the text of an error. */
  named: string;
  most?: number;
  /** O_NOFOLLOW, or nothing. */
  links?: number;
}

/**
 * Looks first and opens then, by what it has looked at: to open a device alone may do something, such as start a watchdog that
 * restarts the host, and root may open each.
 */
async function read({ path, named, most = longest, links = 0 }: Wanted, check: (status: Stats) => Promise<void>) {
  const place = await open(path, pathOnly | links);
  try {
    const found = await place.stat();
    // As an open that follows no link would say.
    if (found.isSymbolicLink()) throw Object.assign(new Error(`ELOOP: ${named} is a link`), { code: "ELOOP", path });
    if (!found.isFile() || found.size > most) throw refused(named, "it is no regular file, or too large");
    const file = await open(`/proc/self/fd/${place.fd}`, flags).catch((thrown: NodeJS.ErrnoException) => {
      throw Object.assign(thrown, { path });
    });
    try {
      await check(await file.stat());
      return await readWhole(file, most, named);
    } finally {
      await file.close();
    }
  } finally {
    await place.close();
  }
}

/** It may grow all the while. */
async function readWhole(file: FileHandle, most: number, named: string): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > most) throw refused(named, "it is no regular file, or too large");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** A directory in which one file is changed. */
export interface OwnerDirectory {
  /** A path of an entry that leads to this directory, whatever stands at its name by now. */
  at(name: string): string;
  uid: number;
  gid: number;
}

/**
 * Opens the directory of a file that the host's owner names, to write there. Nobody can have led root to it but root and the
 * directory's owner; or it is the app's user's own.
 * @param file need not exist
 * @param named the path by which the owner names it, which may lead there by links
 * @param user the id of the app's user, if that is not the user of this process
 * @throws the system's error; CutoverError host_settings_invalid
 */
export async function inOwnerDirectory<T>(
  { file, named }: { file: string; named: string },
  user: number | undefined,
  use: (directory: OwnerDirectory) => Promise<T>,
): Promise<T> {
  const opened = await open(dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid, gid } = await opened.stat();
    // After it was opened, as above.
    if (user !== undefined && uid !== user) {
      await assertWay(dirname(named), uid, user);
      await assertWay(named, uid, user).catch((thrown: NodeJS.ErrnoException) => {
        // What is not there yet leads nowhere else.
        if (thrown.code !== "ENOENT" || file !== named) throw thrown;
      });
    }
    return await use({ at: (name) => `/proc/self/fd/${opened.fd}/${name}`, uid, gid });
  } finally {
    await opened.close();
  }
}

/**
 * The text of an entry of such a directory, which may be a link no more. In the app's user's own directory it is that user's.
 * @throws as `readOwnerFile`
 */
export function readEntry({ at, uid }: OwnerDirectory, name: string, user: number | undefined): Promise<string> {
  return read({ path: at(name), named: name, links: constants.O_NOFOLLOW }, async (status) => {
    if (user !== undefined && uid === user && status.uid !== user) throw refused(name, "it is another user's");
  });
}

type GroupCounts = (group: number) => Promise<boolean>;

/** Whether root alone decides what is at a path. */
export async function isRootsAlone(path: string): Promise<boolean> {
  return (await otherOnTheWay(path, 0, async () => true)) === undefined;
}

/**
 * What is first on the way to a file that somebody else may lead elsewhere; undefined if nobody but these can put another file
 * or a pipe in its place. Whose the file itself is does not matter.
 */
export async function whereOthersLead(path: string, owners: readonly number[]): Promise<string | undefined> {
  let isShared = false;
  for await (const { at, status } of wayTo(path)) {
    const isOwn = owners.includes(status.uid);
    const isPlace = status.isDirectory() || status.isSymbolicLink();
    // In a directory that all may write to, such as /tmp, only the owner of an entry can replace it.
    if (!isOwn && (isPlace || isShared)) return at;
    if (!status.isDirectory()) continue;
    if (await isOpen(status, async (group) => group !== 0)) return at;
    isShared = (status.mode & 0o022) !== 0;
  }
  return undefined;
}

async function assertWay(path: string, owner: number, user: number): Promise<void> {
  const other = await otherOnTheWay(path, owner, async (group) => (await groupsOf(user)).includes(group));
  if (other !== undefined) throw refused(path, `others may change ${other}, and so lead elsewhere`);
}

/** All groups of a user. @throws Error if the host does not say them: then nothing is read */
async function groupsOf(user: number): Promise<number[]> {
  const { code, stdout } = await runTool("id", ["-G", "--", String(user)]);
  if (code !== 0) throw new Error(`the host does not say the groups of user ${user}`);
  return stdout.trim().split(" ").map(Number);
}

/**
 * What is first on the way that others than root and the owner may change.
 * @param counts whether what a group may change counts
 */
async function otherOnTheWay(path: string, owner: number, counts: GroupCounts): Promise<string | undefined> {
  for await (const { at, status } of wayTo(path)) {
    if (status.uid !== 0 && status.uid !== owner) return at;
    if (status.isDirectory() && (await isOpen(status, counts))) return at;
  }
  return undefined;
}

/** Each directory and each link, as the kernel walks, and what is at the end. */
async function* wayTo(path: string): AsyncGenerator<{ at: string; status: Stats }> {
  const names = namesOf(path);
  let links = 0;
  let at = "/";
  yield { at, status: await lstat(at) };
  while (names.length > 0) {
    const next = join(at, names.shift() ?? "");
    const status = await lstat(next);
    yield { at: next, status };
    if (!status.isSymbolicLink()) {
      at = next;
      continue;
    }
    if (++links > mostLinks) throw refused(path, "it leads through too many links");
    const target = await readlink(next);
    names.unshift(...namesOf(target));
    if (target.startsWith("/")) at = "/";
  }
}

/** In a directory with this bit, others cannot move what is not theirs. */
const sticky = 0o1000;

async function isOpen({ gid, mode }: Stats, counts: GroupCounts): Promise<boolean> {
  if ((mode & sticky) !== 0) return false;
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && (await counts(gid)));
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function refused(path: string, why: string): CutoverError {
  return new CutoverError("host_settings_invalid", `${path} is not read: ${why}.`, {
    unchanged: "Nothing was changed.",
    fix: "Put the file into /etc/cutover/apps, where only root may write; or give it to the app's user.",
  });
}
