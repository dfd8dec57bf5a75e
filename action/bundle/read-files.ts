import { createHash, hash } from "node:crypto";
import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, readSync } from "node:fs";
import { CutoverError } from "../../shared/errors.ts";
import { manifestLimits } from "../../shared/manifest.ts";
import type { PackFile } from "../project/walk.ts";

/** A file as it was read for the manifest. */
export interface ReadFile extends PackFile {
  size: number;
  sha256: string;
  /** Changes whenever the file is written or replaced. */
  stamp: string;
  /** Its content, if there was room to keep it: then packing need not open the file again. */
  bytes: Buffer | undefined;
}

/** How much content is kept in memory from hashing to packing: all of a usual project, a part of a huge one. */
const keptBytes = 64 * 1024 * 1024;
const scratchBytes = 1024 * 1024;

/**
 * Reads and hashes files. Synchronous, like the walk: 3,000 small files take a tenth of a second, and with promises
 * they took seven times as long.
 * @param known files that were read before; those that did not change are not read again
 * @throws what `onError` makes of what reading threw
 */
export function readFiles(
  files: PackFile[],
  onError: (path: string, thrown: unknown) => Error,
  known: ReadFile[] = [],
): ReadFile[] {
  const before = new Map(known.map((file) => [file.source, file]));
  const scratch = Buffer.allocUnsafe(scratchBytes);
  let room = keptBytes - known.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
  return files.map((file) => {
    try {
      const earlier = before.get(file.source);
      if (earlier !== undefined && stampOf(file.source) === earlier.stamp) return { ...earlier, ...file };
      const read = readOne(file, scratch, room);
      room -= read.bytes?.length ?? 0;
      return read;
    } catch (thrown) {
      throw onError(file.path, thrown);
    }
  });
}

function tooLarge(path: string): CutoverError {
  return new CutoverError("path_not_allowed", `${path} has 8 GiB or more.`, {
    unchanged: "Nothing was sent.",
    fix: "Leave it out with `exclude` in cutover.yml, and bring it to the host another way.",
  });
}

function readOne(file: PackFile, scratch: Buffer, room: number): ReadFile {
  using opened = openFile(file.source);
  const stats = opened.stats();
  if (stats.size > manifestLimits.file) throw tooLarge(file.path);
  const keep = stats.size <= BigInt(room);
  const whole = keep ? Buffer.allocUnsafe(Number(stats.size)) : undefined;
  const facts = whole === undefined ? hashPieces(opened, scratch) : hashWhole(opened, whole);
  return { ...file, ...facts, stamp: stamp(stats), bytes: whole?.subarray(0, facts.size) };
}

function hashWhole(opened: OpenedFile, into: Buffer): { size: number; sha256: string } {
  let size = 0;
  for (let read = -1; read !== 0 && size < into.length; size += read) read = opened.read(into.subarray(size));
  return { size, sha256: hash("sha256", into.subarray(0, size), "hex") };
}

function hashPieces(opened: OpenedFile, scratch: Buffer): { size: number; sha256: string } {
  const sum = createHash("sha256");
  let size = 0;
  for (let read = opened.read(scratch); read !== 0; read = opened.read(scratch)) {
    sum.update(scratch.subarray(0, read));
    size += read;
  }
  return { size, sha256: sum.digest("hex") };
}

export function stampOf(path: string): string {
  return stamp(lstatSync(path, { bigint: true }));
}

function stamp({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

export interface OpenedFile extends Disposable {
  stats(): BigIntStats;
  /** Reads on, at most as much as fits. @returns the number of bytes; 0 at the end */
  read(into: Buffer): number;
}

/** The walk has resolved all symlinks. A symlink that is here now was put here later, and is not followed. */
export function openFile(path: string): OpenedFile {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  return {
    stats: () => fstatSync(file, { bigint: true }),
    read: (into) => readSync(file, into, 0, into.length, null),
    [Symbol.dispose]: () => closeSync(file),
  };
}
