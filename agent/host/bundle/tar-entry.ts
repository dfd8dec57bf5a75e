import { Header } from "tar";
import { CutoverError } from "../../../shared/errors.ts";
import type { ManifestFile } from "../../../shared/manifest.ts";
import { bundleUnchanged } from "./bundle-stream.ts";

/** The size of a tar block in bytes. */
export const block = 512;

/** A header block that follows ustar strictly. What it says is not yet compared with anything. */
export interface Entry {
  header: Header;
  /** The type byte as it is in the archive: node-tar takes NUL for a file, and a file whose name ends in a slash for a directory. */
  flag: number | undefined;
}

const regularFile = 0x30;
const paxHeader = 0x78;

/**
 * Decodes a header block. node-tar is lenient: numbers end at the first letter, names at the first NUL. Here the whole field
 * must be what ustar allows, so that no other reader can see something else in it.
 * @throws CutoverError bundle_altered, bundle_unexpected_entry; bundle_invalid if the first block is no tar at all
 */
export function decodeEntry(bytes: Buffer, { first = false } = {}): Entry {
  const header = decode(bytes);
  if (header === undefined) {
    if (!first || bytes.toString("latin1", 257, 262) === "ustar") throw altered("the header of an entry is damaged");
    throw new CutoverError("bundle_invalid", "The body is compressed, but it holds no tar archive.", {
      unchanged: bundleUnchanged,
      fix: "Send the bundle that the Action packed, as it is.",
    });
  }
  const entry = { header, flag: bytes[156] };
  const path = quoted(header.path);
  if (bytes.toString("latin1", 257, 265) !== "ustar\x0000") throw unexpected(`${path} in another format than ustar`);
  for (const [name, start, end] of numbers) {
    if (!octal.test(bytes.toString("latin1", start, end))) throw unexpected(`${path} with a ${name} that is not octal`);
  }
  for (const [name, start, end] of texts) {
    const field = bytes.subarray(start, end);
    const length = field.indexOf(0);
    if (length >= 0 && field.subarray(length).some((byte) => byte !== 0)) {
      throw unexpected(`${path} with bytes after the end of its ${name}`);
    }
  }
  return entry;
}

function decode(bytes: Buffer): Header | undefined {
  try {
    const header = new Header(bytes);
    return header.cksumValid && strictChecksum.test(bytes.toString("latin1", 148, 156)) ? header : undefined;
  } catch {
    // A number is too large for JavaScript.
    return undefined;
  }
}

const strictChecksum = /^[0-7]{6}(?:\0 | \0)$/;
/** Digits to the end, or none at all. A size of 8 GiB or more would be binary, and no file of a manifest is so large. */
const octal = /^(?:[0-7]+[ \0]+|\0+)$/;

const numbers = [
  ["mode", 100, 108],
  ["user", 108, 116],
  ["group", 116, 124],
  ["size", 124, 136],
  ["time", 136, 148],
  ["device", 329, 337],
  ["device", 337, 345],
] as const;

const texts = [
  ["name", 0, 100],
  ["link", 157, 257],
  ["user's name", 265, 297],
  ["group's name", 297, 329],
  // With the bytes after it, which ustar leaves empty.
  ["prefix", 345, 512],
] as const;

export function isPaxHeader({ flag }: Entry): boolean {
  return flag === paxHeader;
}

/**
 * Checks that an entry is this regular file, as the Action packs it. Without `size` any size is allowed.
 * @param found the entry's path, if an extended header before it names it
 * @returns its size in bytes
 * @throws CutoverError bundle_unexpected_entry
 */
export function checkFile(
  { header, flag }: Entry,
  { path, mode, size }: Pick<ManifestFile, "path" | "mode"> & { size?: number },
  found = header.path,
): number {
  if (found !== path) throw unexpected(`${quoted(found)} where ${path} belongs`);
  if (flag !== regularFile) throw unexpected(`${path} as something other than a regular file`);
  if (header.linkpath) throw unexpected(`${path} with the target of a link`);
  if (((header.mode ?? 0) & 0o7000) !== 0) throw unexpected(`${path} with a set-user-id, set-group-id or sticky bit`);
  if (header.mode !== mode) throw unexpected(`${path} with another mode than ${mode.toString(8)}`);
  if (!isRoot(header)) throw unexpected(`${path} with an owner`);
  if (header.devmaj !== 0 || header.devmin !== 0) throw unexpected(`${path} with the number of a device`);
  if (header.size === undefined || (size !== undefined && header.size !== size)) {
    throw unexpected(`${path} with ${header.size ?? "no"} bytes instead of ${size ?? "a number"}`);
  }
  return header.size;
}

function isRoot({ uid, gid, uname = "", gname = "" }: Header): boolean {
  return (uid ?? 0) === 0 && (gid ?? 0) === 0 && [uname, gname].every((name) => name === "" || name === "root");
}

/** The quoted path in what may be a header block; undefined if it is none. */
export function nameOf(bytes: Buffer): string | undefined {
  const header = decode(bytes);
  return header === undefined ? undefined : quoted(header.path);
}

/** The only content that a pax header may have. So it is compared, and never parsed. */
export function paxPath(path: string): Buffer {
  const rest = Buffer.byteLength(` path=${path}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} path=${path}\n`);
}

function quoted(path: string | undefined): string {
  return JSON.stringify((path ?? "").slice(0, 200));
}

export function unexpected(what: string): CutoverError {
  return new CutoverError("bundle_unexpected_entry", `The bundle holds ${what}.`, {
    unchanged: bundleUnchanged,
    fix: "Pack it again with the Action. A bundle that was changed by hand is refused.",
  });
}

export function altered(what: string): CutoverError {
  return new CutoverError("bundle_altered", `The bundle was altered: ${what}.`, {
    unchanged: bundleUnchanged,
    fix: "Send it again. If that fails too, find out what changes it on the way.",
  });
}
