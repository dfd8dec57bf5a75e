import { Header } from "tar";
import { CutoverError } from "../../../shared/errors.ts";
import { manifestName } from "../../../shared/manifest.ts";
import { applyManifestDelta, type DeltaBase, longestDelta, manifestDeltaName } from "../../../shared/manifest-delta.ts";
import { bundleUnchanged, endedEarly } from "./bundle-stream.ts";
import { ByteSource } from "./byte-source.ts";
import { altered, block, checkFile, decodeEntry } from "./tar-entry.ts";

/** In bytes: of what comes after the manifest. */
const pieceSize = 128 * 1024;

/**
 * The archive with the whole manifest.json as its first entry, if what came is a delta to the base's manifest. So whoever
 * reads it knows no deltas, and checks the manifest in the one way that there is.
 * @param readBase the manifest of the thin bundle's base
 * @throws CutoverError base_unusable if the delta does not give the manifest that it names: then the sender sends everything
 */
export async function* withWholeManifest(
  archive: AsyncIterable<Buffer>,
  readBase: () => Promise<DeltaBase>,
): AsyncGenerator<Buffer> {
  const source = new ByteSource(archive);
  try {
    const first = await source.take(block);
    if (first === undefined) return;
    if (isDelta(first)) yield* entryOf(await expand(first, source, readBase));
    else yield first;
    for (;;) {
      const piece = await source.some(pieceSize);
      if (piece === undefined) return;
      yield piece;
    }
  } finally {
    await source.close();
  }
}

/** All else about its header is checked later. */
function isDelta(header: Buffer): boolean {
  const name = `${manifestDeltaName}\0`;
  return header.toString("latin1", 0, name.length) === name;
}

async function expand(header: Buffer, source: ByteSource, readBase: () => Promise<DeltaBase>): Promise<Buffer> {
  const size = checkFile(decodeEntry(header, { first: true }), { path: manifestDeltaName, mode: 0o644 });
  if (size > longestDelta) throw unusable(new Error("it is too large"));
  const padded = await source.take(size + padding(size));
  if (padded === undefined) throw endedEarly(`in ${manifestDeltaName}`);
  if (padded.subarray(size).some((byte) => byte !== 0))
    throw altered(`the padding after ${manifestDeltaName} is not empty`);
  try {
    return applyManifestDelta(padded.subarray(0, size), await readBase());
  } catch (cause) {
    throw unusable(cause);
  }
}

function* entryOf(manifest: Buffer): Generator<Buffer> {
  const header = Buffer.alloc(block);
  const facts = { path: manifestName, size: manifest.length, mode: 0o644, type: "File", uid: 0, gid: 0 } as const;
  new Header({ ...facts, mtime: new Date(0) }).encode(header);
  yield header;
  yield manifest;
  yield Buffer.alloc(padding(manifest.length));
}

function padding(size: number): number {
  return (block - (size % block)) % block;
}

function unusable(cause: unknown): CutoverError {
  const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
  return new CutoverError("base_unusable", `The manifest came as a difference that cannot be used: ${why}.`, {
    unchanged: bundleUnchanged,
    fix: "Send the whole bundle. The Action does that by itself.",
    cause,
  });
}
