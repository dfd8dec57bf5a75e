import { createHash, hash } from "node:crypto";
import { closeSync, constants, openSync, readSync } from "node:fs";

export interface FileFacts {
  size: number;
  sha256: string;
}

export interface OpenedFile extends Disposable {
  /** Reads on, at most as much as fits. @returns the count; 0 at the end */
  read(into: Buffer): number;
}

/** The walk has resolved symlinks, so a link that is here now was put here since, and is not followed. */
export function openFile(path: string): OpenedFile {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  return {
    read: (into) => readSync(file, into, 0, into.length, null),
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** A buffer that one file after the other is read into while they are hashed. */
export function newScratch(): Buffer {
  return Buffer.allocUnsafe(1024 * 1024);
}

/**
 * Size and hash of a file. Synchronous, like the walk: 3,000 small files take a tenth of a second, and the promises
 * took seven times as long.
 */
export function hashFile(path: string, scratch: Buffer): FileFacts {
  using file = openFile(path);
  const first = file.read(scratch);
  // A file that fits has ended when the next read gives nothing.
  let next = first === 0 ? 0 : file.read(scratch.subarray(first));
  if (next === 0 && first < scratch.length) {
    return { size: first, sha256: hash("sha256", scratch.subarray(0, first), "hex") };
  }
  const sum = createHash("sha256").update(scratch.subarray(0, first + next));
  let size = first + next;
  while (true) {
    next = file.read(scratch);
    if (next === 0) return { size, sha256: sum.digest("hex") };
    sum.update(scratch.subarray(0, next));
    size += next;
  }
}
