import { createHash, hash } from "node:crypto";
import { CutoverError } from "../../../shared/errors.ts";
import {
  type Manifest,
  type ManifestFile,
  ManifestParser,
  manifestLimits,
  manifestName,
} from "../../../shared/manifest.ts";
import { bundleUnchanged, endedEarly } from "./bundle-stream.ts";
import { ByteSource } from "./byte-source.ts";
import { collectAround } from "./large-manifest.ts";
import { PackedBytes } from "./packed-bytes.ts";
import { altered, block, checkFile, decodeEntry, isPaxHeader, nameOf, paxPath, unexpected } from "./tar-entry.ts";

/** Takes the parts of a bundle, in their order. */
export interface BundleSink {
  /**
   * Called first. If it throws, the bundle is refused.
   * @param content of manifest.json
   * @returns the base of a thin bundle
   */
  manifest(manifest: Manifest, digest: string, content: FileContent): Promise<BundleBase | undefined>;
  /** Reads `content` to its end. @returns the sha256 of the bytes, in hex */
  file(file: ManifestFile, content: FileContent): Promise<string> | string;
}

/** Has the files that a thin bundle leaves out. */
export interface BundleBase {
  /** If true, the archive must not hold the file. */
  has(file: ManifestFile): boolean;
  /** Makes it a file of the release, through the sink if it must be read. @throws CutoverError base_unusable if it is not what the manifest says */
  give(file: ManifestFile, sink: BundleSink): Promise<void>;
}

/** A file's bytes: whole, or in pieces if the file is large. */
export type FileContent = { whole: Buffer } | { pieces: AsyncIterable<Buffer> };

/** Up to this size in bytes a file is collected in memory, so that one call writes it. */
export const wholeFile = 256 * 1024;
/** In bytes: each piece has its price where it is read, so a sender must not choose that there are as many as bytes. */
const leastPiece = 16 * 1024;
/** GNU tar fills its last record, so this many zero bytes may follow the two blocks that end an archive. */
const endPadding = 10 * 1024;

/**
 * Reads an archive and compares it with its own manifest: each entry must be the manifest's next file that the base does not
 * have, with nothing before, between or after. node-tar's parser is not used: it accepts entries after the end and missing
 * ends, and keeps what follows the end in memory.
 * @param limits of the manifest, in bytes
 * @throws CutoverError bundle_*, manifest_invalid
 */
export async function readBundle(
  archive: AsyncIterable<Buffer>,
  sink: BundleSink,
  { manifest: manifestLimit }: { manifest: number },
): Promise<void> {
  const source = new ByteSource(archive);
  try {
    const { files, base } = await readManifest(source, sink, manifestLimit);
    for (const file of files) {
      if (base?.has(file)) await base.give(file, sink);
      else await readFile(source, file, sink);
    }
    await readEnd(source);
  } finally {
    await source.close();
  }
}

async function readManifest(source: ByteSource, sink: BundleSink, limit: number) {
  const entry = decodeEntry(await take(source, block, "before its first entry"), { first: true });
  const size = checkFile(entry, { path: manifestName, mode: 0o644 });
  if (size > manifestLimits.bytes) {
    throw new CutoverError("manifest_invalid", `manifest.json has more than ${manifestLimits.bytes} bytes.`, {
      unchanged: bundleUnchanged,
      fix: "Leave out what the app does not need on the host, with `exclude` in cutover.yml.",
    });
  }
  if (size > limit) throw tooManyFiles(size, limit);
  collectAround(size);
  const parser = new ManifestParser();
  const sha256 = createHash("sha256");
  const packed = new PackedBytes();
  try {
    for await (const piece of piecesOf(source, size, "in manifest.json")) {
      parser.push(piece);
      if (parser.size > limit) throw tooManyFiles(parser.size, limit);
      sha256.update(piece);
      await packed.push(piece);
    }
    await readPadding(source, size, manifestName);
    const manifest = parser.end();
    const content = { pieces: packed.pieces() };
    const base = await sink.manifest(manifest, `sha256:${sha256.digest("hex")}`, content);
    return { files: manifest.files, base };
  } finally {
    packed.drop();
  }
}

function tooManyFiles(size: number, limit: number): CutoverError {
  const message = `The bundle's manifest.json has ${size} bytes, as the host counts them; this host takes ${limit}.`;
  return new CutoverError("bundle_too_large", message, {
    unchanged: bundleUnchanged,
    fix: "Leave out what the app does not need, with `exclude` in cutover.yml, or raise `limits.manifest` in agent.yml.",
  });
}

async function readFile(source: ByteSource, file: ManifestFile, sink: BundleSink): Promise<void> {
  const where = `${file.path} is missing or cut off`;
  const first = await take(source, block, where);
  if (isZero(first)) throw endedEarly(where);
  let entry = decodeEntry(first);
  let found = entry.header.path;
  if (isPaxHeader(entry)) {
    const record = paxPath(file.path);
    if (entry.header.size !== record.length || !(await take(source, record.length, where)).equals(record)) {
      throw unexpected(`an extended header that does not just name ${file.path}`);
    }
    await readPadding(source, record.length, file.path);
    entry = decodeEntry(await take(source, block, where));
    found = file.path;
  }
  checkFile(entry, file, found);
  const content =
    file.size <= wholeFile
      ? { whole: await take(source, file.size, where) }
      : { pieces: piecesOf(source, file.size, where) };
  const sha256 = await sink.file(file, content);
  if (sha256 !== file.sha256) throw altered(`${file.path} differs from the manifest`);
  await readPadding(source, file.size, file.path);
}

async function* piecesOf(source: ByteSource, size: number, where: string): AsyncGenerator<Buffer> {
  for (let left = size; left > 0; ) {
    const piece = await source.gathered(left, leastPiece);
    if (piece === undefined) throw endedEarly(where);
    left -= piece.length;
    yield piece;
  }
}

async function readEnd(source: ByteSource): Promise<void> {
  const where = "the blocks that end an archive are missing";
  const first = await take(source, block, where);
  if (!isZero(first)) {
    const name = nameOf(first);
    throw name === undefined ? tooLong() : unexpected(`${name}, after the manifest's last file`);
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

const zeros = Buffer.alloc(endPadding);

function isZero(bytes: Buffer): boolean {
  return bytes.length <= zeros.length && zeros.subarray(0, bytes.length).equals(bytes);
}

/** The sha256 of bytes, in hex. */
export function sha256Of(bytes: Buffer): string {
  return hash("sha256", bytes, "hex");
}

function tooLong(): CutoverError {
  return new CutoverError("bundle_too_long", "The bundle goes on after its last file.", {
    unchanged: bundleUnchanged,
    fix: "Send the bundle alone, as it was packed.",
  });
}
