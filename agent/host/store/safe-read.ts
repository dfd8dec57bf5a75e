import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { relative } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { DiskTurns } from "./disk-turns.ts";

/**
 * Reads below a directory in which other users may write. Each step starts from an open directory and follows no link. Only a
 * regular file is read: a pipe or a device could stop the reader, or give it bytes without end. A file that has several names
 * must belong to the owner of its directory, in which nobody else may write: otherwise somebody could have put a name of
 * another's file there. So nobody can make the agent or root read what they may not read themselves, or wait for it.
 *
 * Everything below an app's directory is read with these functions; test/house/reads.test.ts sees to it.
 */

/** O_PATH, which Node has no name for: a directory is passed through without the right to list it. */
const pathOnly = 0o10000000;
const directory = pathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const file = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const list = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The thread pool has four threads: two stay free whatever the disks do. */
const turns = new DiskTurns(2);
const patienceMs = 10_000;

/** Sizes in bytes of what the agent reads whole. Each is far more than cutover writes. */
export const readLimits = {
  config: 4 * 1024 ** 2,
  state: 64 * 1024 ** 2,
  ports: 64 * 1024,
} as const;

/**
 * The bytes of a file.
 * @param path below `root`, which nobody else can replace; relative to it, or with it
 * @param limit in bytes
 * @throws the system's error if the file does not exist; CutoverError internal if it is no regular file, too large, or not
 *   read in time
 */
export async function readSafely(root: string, path: string, limit: number): Promise<Buffer> {
  return inTurn(root, path, async (opened, { size }) => {
    if (size > limit) throw notPlain(path);
    return readAt(opened, 0, size);
  });
}

/** The text of a file; undefined if there is none. @throws CutoverError internal as `readSafely` */
export async function readSafelyIfExists(root: string, path: string, limit: number): Promise<string | undefined> {
  try {
    return (await readSafely(root, path, limit)).toString("utf8");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

/**
 * A part of a file of any size, the file's size now, and its inode.
 * @param from in bytes from its beginning; negative: from its end
 * @throws as `readSafely`
 */
export async function readPart(
  root: string,
  path: string,
  { from, bytes }: { from: number; bytes: number },
): Promise<{ part: Buffer; size: number; inode: number }> {
  return inTurn(root, path, async (opened, { size, ino: inode }) => {
    const start = Math.min(from < 0 ? Math.max(size + from, 0) : from, size);
    return { part: await readAt(opened, start, Math.min(bytes, size - start)), size, inode };
  });
}

/** The names in a directory; none if there is no directory. @throws the system's error if it is something else */
export async function listSafely(root: string, path: string): Promise<string[]> {
  const parts = partsOf(root, path);
  try {
    return await turns.run(path, patienceMs, () =>
      below(root, parts, list, (opened) => readdir(`/proc/self/fd/${opened.fd}`)),
    );
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

type Use<T> = (opened: FileHandle, status: Stats, parent: FileHandle) => Promise<T>;

function inTurn<T>(root: string, path: string, use: (opened: FileHandle, status: Stats) => Promise<T>): Promise<T> {
  const parts = partsOf(root, path);
  return turns.run(path, patienceMs, async () => {
    try {
      return await below(root, parts, file, async (opened, status, parent) => {
        assertPlain(path, status, await parent.stat());
        return use(opened, status);
      });
    } catch (thrown) {
      throw isInTheWay(thrown) ? notPlain(path) : thrown;
    }
  });
}

/** Opens each part from the directory before it, and closes all of them after `use`. */
async function below<T>(root: string, parts: string[], flags: number, use: Use<T>): Promise<T> {
  const opened: FileHandle[] = [];
  try {
    let at = root;
    for (const [index, part] of ["", ...parts].entries()) {
      const handle = await open(part === "" ? at : `${at}/${part}`, index === parts.length ? flags : directory);
      opened.push(handle);
      at = `/proc/self/fd/${handle.fd}`;
    }
    const [parent, last] = [opened.at(-2) ?? opened.at(-1), opened.at(-1)];
    if (parent === undefined || last === undefined) throw new Error("nothing was opened");
    return await use(last, await last.stat(), parent);
  } finally {
    for (const handle of opened) await handle.close();
  }
}

async function readAt(opened: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes; length += count) {
    count = (await opened.read(buffer, length, bytes - length, from + length)).bytesRead;
  }
  return buffer.subarray(0, length);
}

/**
 * `readSafely` for one who may wait for the disk, such as the helper in a step of its own.
 * @throws as `readSafely`, but for the time
 */
export function safeRead(root: string, path: string, limit: number): Buffer {
  const opened: number[] = [];
  try {
    const parts = partsOf(root, path);
    let at = root;
    for (const [index, part] of ["", ...parts].entries()) {
      const handle = openSync(part === "" ? at : `${at}/${part}`, index === parts.length ? file : directory);
      opened.push(handle);
      at = `/proc/self/fd/${handle}`;
    }
    const last = opened.at(-1) ?? -1;
    const status = fstatSync(last);
    assertPlain(path, status, fstatSync(opened.at(-2) ?? last));
    if (status.size > limit) throw notPlain(path);
    return readNow(last, status.size);
  } catch (thrown) {
    throw isInTheWay(thrown) ? notPlain(path) : thrown;
  } finally {
    for (const handle of opened) closeSync(handle);
  }
}

function readNow(opened: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes; length += count) {
    count = readSync(opened, buffer, length, bytes - length, length);
  }
  return buffer.subarray(0, length);
}

/** @throws CutoverError internal if the path leads out of `root` */
function partsOf(root: string, path: string): string[] {
  const inner = path.startsWith("/") ? relative(root, path) : path;
  const parts = inner.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length === 0 || parts.includes("..")) throw notPlain(path);
  return parts;
}

function assertPlain(path: string, status: Stats, parent: Stats): void {
  const shared = parent.uid !== status.uid || (parent.mode & 0o022) !== 0;
  if (!status.isFile() || (status.nlink > 1 && shared)) throw notPlain(path);
}

/** A link, or a socket. */
function isInTheWay(thrown: unknown): boolean {
  return ["ELOOP", "ENXIO", "ENODEV"].includes((thrown as NodeJS.ErrnoException | null)?.code ?? "");
}

function notPlain(path: string): CutoverError {
  return new CutoverError("internal", `${path} is not a regular file of its own, or it is too large.`, {
    unchanged: "The live release goes on serving.",
    fix: "Find out what has changed it. If it is a release's, deploy again: a new release gets its files from the bundle.",
  });
}
