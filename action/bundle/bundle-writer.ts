import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { Header, Pax } from "tar";
import { CutoverError } from "../../shared/errors.ts";
import { manifestLimits } from "../../shared/manifest.ts";
import { changed, unreadable } from "../project/unreadable.ts";
import { Batch } from "./batch.ts";
import { openFile, type ReadFile, stampOf } from "./read-files.ts";

/** manifest.json, or what changed in it. */
export interface FirstEntry {
  name: string;
  bytes: Buffer;
}

export interface BundleRequest {
  manifest: FirstEntry;
  /** In the manifest's order: all of its files, or those that the base of a thin bundle lacks. */
  files: ReadFile[];
  path: string;
  signal: AbortSignal;
}

/**
 * Writes a bundle: manifest.json, then files in its order, as a tar in zstd. The same manifest and files give the same
 * bytes. After a failure nothing is left on the disk.
 * @throws CutoverError file_changed, naming the file; path_not_allowed
 */
export async function writeBundle({ manifest, files, path, signal }: BundleRequest): Promise<void> {
  if (manifest.bytes.length > manifestLimits.bytes) throw tooMuchToList(manifest.bytes.length);
  const compress = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize: 1024 * 1024 });
  const archive = Readable.from(tarBytes(manifest, files), { highWaterMark: 2 });
  try {
    await pipeline(archive, compress, createWriteStream(path), { signal });
  } catch (thrown) {
    await rm(path, { force: true });
    signal.throwIfAborted();
    throw thrown;
  }
}

function* tarBytes({ name, bytes: manifest }: FirstEntry, files: ReadFile[]): Generator<Buffer> {
  const batch = new Batch();
  for (const block of entryHeader(name, manifest.length, 0o644)) yield* batch.add(block);
  yield* batch.add(manifest);
  yield* batch.add(padding(manifest.length));
  for (const file of files) {
    for (const block of entryHeader(file.path, file.size, file.mode)) yield* batch.add(block);
    yield* addContent(batch, file);
    yield* batch.add(padding(file.size));
  }
  yield* batch.add(endOfArchive);
  yield* batch.flush();
}

/** Two empty blocks. */
const endOfArchive = Buffer.alloc(1024);

const noPadding = Buffer.alloc(0);
const printableAscii = /^[ -~]+$/;

/**
 * The header of a regular file: ustar with fixed time and owner, so that the same file gives the same bytes. A path
 * that does not fit into ustar comes before it in a pax header.
 */
function entryHeader(path: string, size: number, mode: 0o644 | 0o755): Buffer[] {
  const facts = { path, size, mode, type: "File", uid: 0, gid: 0, mtime: new Date(0) } as const;
  const header = new Header(facts);
  const block = Buffer.alloc(512);
  const needsPax = header.encode(block) || !printableAscii.test(path);
  if (!needsPax) return [block];
  // The path alone: the agent accepts nothing else there.
  return [new Pax({ path }).encode(), block];
}

/** Zeros up to the next block of 512 bytes. */
function padding(size: number): Buffer {
  const rest = size % 512;
  return rest === 0 ? noPadding : Buffer.alloc(512 - rest);
}

/** Only what the token signs may be sent. So a file that was touched after it was hashed is hashed again. */
function* addContent(batch: Batch, file: ReadFile): Generator<Buffer> {
  try {
    const untouched = stampOf(file.source) === file.stamp;
    if (untouched && file.bytes !== undefined) yield* batch.add(file.bytes);
    else yield* addAgain(batch, file, !untouched);
  } catch (thrown) {
    throw unreadable(file.path, thrown);
  }
}

function* addAgain(batch: Batch, file: ReadFile, check: boolean): Generator<Buffer> {
  const sum = check ? createHash("sha256") : undefined;
  let size = 0;
  using opened = openFile(file.source);
  for (;;) {
    const read = yield* batch.fill((into) => opened.read(into));
    if (read.length === 0) break;
    size += read.length;
    if (size > file.size) throw changed(file.path);
    sum?.update(read);
  }
  if (size !== file.size || (sum !== undefined && sum.digest("hex") !== file.sha256)) throw changed(file.path);
  if (stampOf(file.source) !== file.stamp && !check) throw changed(file.path);
}

function tooMuchToList(bytes: number): CutoverError {
  return new CutoverError("path_not_allowed", `The manifest would have ${bytes} bytes: too many files.`, {
    unchanged: "Nothing was sent.",
    fix: "Leave out what the app does not need with `exclude` in cutover.yml.",
  });
}
