import { hash } from "node:crypto";
import { Header } from "tar";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import {
  type Manifest,
  type ManifestFile,
  manifestDigest,
  manifestLimits,
  manifestName,
  parseManifest,
} from "../../../shared/manifest.ts";
import { bundleUnchanged, endedEarly } from "./bundle-stream.ts";
import { ByteSource } from "./byte-source.ts";

/** What is done with a bundle's parts, in their order. */
export interface BundleSink {
  /** Called first; what it throws refuses the bundle. @returns the base of a thin bundle */
  manifest(manifest: Manifest, digest: string, bytes: Buffer): Promise<BundleBase | undefined>;
  /** Takes the file's bytes from `content` to the end and returns their sha256 in hex. */
  file(file: ManifestFile, content: FileContent): Promise<string> | string;
}

/** Where the files are that a thin bundle leaves out. */
export interface BundleBase {
  /** Then the archive must not hold the file. */
  has(file: ManifestFile): boolean;
  /** Gives the file to the sink as the base has it. @throws when that is not what the manifest says */
  copy(file: ManifestFile, sink: BundleSink): Promise<void>;
}

/** A file's bytes: all at once where they are at hand, otherwise piece by piece. */
export type FileContent = { whole: Buffer } | { pieces: AsyncIterable<Buffer> };

const block = 512;
/** Up to this size a file is put together in memory, so that one call writes it. */
export const wholeFile = 256 * 1024;
/** GNU tar fills up its last record, so this much may follow the two blocks that end an archive. */
const endPadding = 10 * 1024;
const regularFile = 0x30;
const paxHeader = 0x78;

/**
 * Reads an archive against its own manifest: each entry must be the manifest's next file that the base does not have, and
 * nothing may stand before, between or after. node-tar decodes the header blocks; its parser is not used, since it puts up with entries after the
 * end and missing ends, and keeps what follows the end in memory.
 * @throws CutoverError bundle_*, manifest_invalid
 */
export async function readBundle(archive: AsyncIterable<Buffer>, sink: BundleSink): Promise<void> {
  const source = new ByteSource(archive);
  try {
    const { files, base } = await readManifest(source, sink);
    for (const file of files) {
      if (base?.has(file)) await base.copy(file, sink);
      else await readFile(source, file, sink);
    }
    await readEnd(source);
  } finally {
    await source.close();
  }
}

async function readManifest(source: ByteSource, sink: BundleSink) {
  const entry = decode(await take(source, block, "before its first entry"), "bundle_invalid");
  checkEntry(entry, manifestName, undefined);
  const size = entry.header.size ?? 0;
  if (size > manifestLimits.bytes) {
    throw new CutoverError("manifest_invalid", `manifest.json has more than ${manifestLimits.bytes} bytes.`, {
      unchanged: bundleUnchanged,
      fix: "Leave out what the app does not need on the host, with `exclude` in cutover.yml.",
    });
  }
  const bytes = Buffer.from(await take(source, size, "in manifest.json"));
  await readPadding(source, size, manifestName);
  const manifest = parseManifest(bytes);
  const base = await sink.manifest(manifest, manifestDigest(bytes), bytes);
  return { files: manifest.files, base };
}

async function readFile(source: ByteSource, file: ManifestFile, sink: BundleSink): Promise<void> {
  const where = `${file.path} is missing or cut off`;
  const first = await take(source, block, where);
  if (isZero(first)) throw endedEarly(where);
  let entry = decode(first);
  let path = entry.header.path;
  if (entry.flag === paxHeader) {
    const record = paxPath(file.path);
    if (entry.header.size !== record.length || !(await take(source, record.length, where)).equals(record)) {
      throw unexpected(`an extended header that does not just name ${file.path}`);
    }
    await readPadding(source, record.length, file.path);
    entry = decode(await take(source, block, where));
    path = file.path;
  }
  checkEntry(entry, file.path, file.size, path);
  const content =
    file.size <= wholeFile ? { whole: await take(source, file.size, where) } : piecesOf(source, file, where);
  const sha256 = await sink.file(file, content);
  if (sha256 !== file.sha256) throw altered(`${file.path} differs from the manifest`);
  await readPadding(source, file.size, file.path);
}

function piecesOf(source: ByteSource, file: ManifestFile, where: string): FileContent {
  async function* pieces() {
    for (let left = file.size; left > 0; ) {
      const piece = await source.some(left);
      if (piece === undefined) throw endedEarly(where);
      left -= piece.length;
      yield piece;
    }
  }
  return { pieces: pieces() };
}

async function readEnd(source: ByteSource): Promise<void> {
  const where = "the blocks that end an archive are missing";
  const first = await take(source, block, where);
  if (!isZero(first)) {
    const header = new Header(first);
    if (header.cksumValid) throw unexpected(`${quoted(header.path)}, after the manifest's last file`);
    throw tooLong();
  }
  if (!isZero(await take(source, block, where))) throw tooLong();
  for (let padding = 0; ; ) {
    const piece = await source.some(endPadding);
    if (piece === undefined) return;
    padding += piece.length;
    if (padding > endPadding || !isZero(piece)) throw tooLong();
  }
}

async function readPadding(source: ByteSource, size: number, path: string): Promise<void> {
  const padding = await take(source, (block - (size % block)) % block, `in ${path}`);
  if (!isZero(padding)) throw altered(`the padding after ${path} is not empty`);
}

async function take(source: ByteSource, size: number, where: string): Promise<Buffer> {
  const bytes = await source.take(size);
  if (bytes === undefined) throw endedEarly(where);
  return bytes;
}

function decode(bytes: Buffer, code: ErrorCode = "bundle_altered"): Entry {
  let header: Header | undefined;
  try {
    header = new Header(bytes);
  } catch {
    // A number that no JavaScript number holds.
  }
  if (header?.cksumValid && strictChecksum.test(bytes.toString("latin1", 148, 156))) {
    return { header, flag: bytes[156] };
  }
  if (code === "bundle_invalid" && bytes.toString("latin1", 257, 262) !== "ustar") {
    throw new CutoverError(code, "The body is compressed, but it holds no tar archive.", {
      unchanged: bundleUnchanged,
      fix: "Send the bundle that the Action packed, as it is.",
    });
  }
  throw altered("the header of an entry is damaged");
}

/** node-tar reads a checksum as far as it is digits; here the whole field counts. */
const strictChecksum = /^[0-7]{6}(?:\0 | \0)$/;

function checkEntry({ header, flag }: Entry, path: string, size: number | undefined, found = header.path): void {
  if (found !== path) throw unexpected(`${quoted(found)} where ${path} belongs`);
  if (flag !== regularFile) throw unexpected(`${path} as something else than a regular file`);
  if (header.linkpath) throw unexpected(`${path} with the target of a link`);
  if (((header.mode ?? 0) & 0o7000) !== 0) throw unexpected(`${path} with a set-user-id, set-group-id or sticky bit`);
  if (header.size === undefined || (size !== undefined && header.size !== size)) {
    throw unexpected(`${path} with ${header.size ?? "no"} bytes instead of ${size ?? "a number"}`);
  }
}

/** The only content that a pax header may have, so it is compared and never parsed. */
function paxPath(path: string): Buffer {
  const rest = Buffer.byteLength(` path=${path}\n`);
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.from(`${length} path=${path}\n`);
}

interface Entry {
  header: Header;
  /** The type as it stands in the archive: node-tar takes NUL for a file, and a file whose name ends in a slash for a directory. */
  flag: number | undefined;
}

const zeros = Buffer.alloc(endPadding);

function isZero(bytes: Buffer): boolean {
  return bytes.length <= zeros.length && zeros.subarray(0, bytes.length).equals(bytes);
}

/** sha256 in hex of bytes that are at hand. */
export function sha256Of(bytes: Buffer): string {
  return hash("sha256", bytes, "hex");
}

function quoted(path: string | undefined): string {
  return JSON.stringify((path ?? "").slice(0, 200));
}

function unexpected(what: string): CutoverError {
  return new CutoverError("bundle_unexpected_entry", `The bundle holds ${what}.`, {
    unchanged: bundleUnchanged,
    fix: "Pack it anew with the Action. A bundle that was changed by hand is refused whole.",
  });
}

function altered(what: string): CutoverError {
  return new CutoverError("bundle_altered", `The bundle was altered: ${what}.`, {
    unchanged: bundleUnchanged,
    fix: "Send it again; if it happens again, look for what changes it on the way.",
  });
}

function tooLong(): CutoverError {
  return new CutoverError("bundle_too_long", "The bundle goes on after its last file.", {
    unchanged: bundleUnchanged,
    fix: "Send the bundle alone, as it was packed.",
  });
}
