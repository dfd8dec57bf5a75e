import { once } from "node:events";
import { addAbortSignal, pipeline, type Readable } from "node:stream";
import { constants, createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from "node:zlib";
import { CutoverError } from "../../../shared/errors.ts";
import { abortReason } from "../abort-reason.ts";
import { ZstdFrame } from "./zstd-frame.ts";

/** True of every refusal of a bundle: nothing was written to where it could run. */
export const bundleUnchanged = "Nothing of the bundle was kept; the live release goes on serving.";

const magic = { zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), gzip: Buffer.from([0x1f, 0x8b]) } as const;
type Compression = keyof typeof magic;

/** 8 MiB: enough for zstd's usual levels (up to 19). Otherwise a frame could choose how much memory the agent needs. */
const windowLog = 23;
/** In bytes. Smaller pieces cost time. Larger ones collect tens of megabytes before the garbage collector sees a reason to run. */
const chunkSize = 128 * 1024;

/**
 * A bundle's archive, decompressed, in pieces. The body is read only as fast as the pieces are taken. It stays open after a
 * refusal, because the sender must still get an answer.
 * @throws CutoverError bundle_invalid, bundle_altered, bundle_truncated, bundle_too_long, aborted
 */
export async function* decompressed(body: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    const pieces = bytesOf(body);
    const { compression, first } = await unlessAborted(sniff(pieces), signal);
    const inflater = addAbortSignal(signal, createInflater(compression));
    const all = firstThen(first, pieces);
    pipeline(compression === "zstd" ? oneFrame(all) : all, inflater, () => undefined);
    yield* inflater;
  } catch (thrown) {
    throw refusal(thrown, signal);
  }
}

function createInflater(compression: Compression): Gunzip | ZstdDecompress {
  if (compression === "gzip") return createGunzip({ chunkSize, rejectGarbageAfterEnd: true });
  const params = { [constants.ZSTD_d_windowLogMax]: windowLog };
  return createZstdDecompress({ chunkSize, rejectGarbageAfterEnd: true, params });
}

class BodyError extends Error {}

async function* bytesOf(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const piece of body.iterator({ destroyOnReturn: false })) {
      yield Buffer.isBuffer(piece) ? piece : Buffer.from(piece);
    }
  } catch (cause) {
    throw new BodyError("the body broke off", { cause });
  }
}

async function sniff(pieces: AsyncGenerator<Buffer>): Promise<{ compression: Compression; first: Buffer }> {
  let first: Buffer = Buffer.alloc(0);
  while (first.length < magic.zstd.length) {
    const { value, done } = await pieces.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  if (first.subarray(0, magic.zstd.length).equals(magic.zstd)) return { compression: "zstd", first };
  if (first.subarray(0, magic.gzip.length).equals(magic.gzip)) return { compression: "gzip", first };
  if (first.length < magic.zstd.length && magic.zstd.subarray(0, first.length).equals(first)) throw endedEarly();
  throw new CutoverError("bundle_invalid", "The body is neither zstd nor gzip.", {
    unchanged: bundleUnchanged,
    fix: "Send the bundle that the Action packed, as it is: `curl --data-binary @bundle.tar.zst`.",
  });
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const settled = new AbortController();
  try {
    return await Promise.race([
      work,
      once(signal, "abort", { signal: settled.signal }).then(() => Promise.reject(signal.reason)),
    ]);
  } finally {
    settled.abort();
  }
}

async function* firstThen(first: Buffer, pieces: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* pieces;
}

async function* oneFrame(pieces: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const frame = new ZstdFrame();
  for await (const piece of pieces) {
    if (frame.take(piece) < piece.length) throw tooLong();
    yield piece;
  }
}

function tooLong(cause?: unknown): CutoverError {
  return new CutoverError("bundle_too_long", "The bundle goes on after the end of its compressed stream.", {
    unchanged: bundleUnchanged,
    fix: "Send the bundle alone, as it was packed.",
    cause,
  });
}

/** The refusal of a bundle that stopped before its end. @param where at which place, for the message */
export function endedEarly(where?: string, cause?: unknown): CutoverError {
  return new CutoverError("bundle_truncated", `The bundle ended early${where === undefined ? "" : `: ${where}`}.`, {
    unchanged: bundleUnchanged,
    fix: "Send it again. If that fails too, look for a proxy between the sender and this host that limits bodies.",
    cause,
  });
}

function refusal(thrown: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return abortReason(signal);
  if (thrown instanceof BodyError) return endedEarly(undefined, thrown.cause);
  const code = (thrown as NodeJS.ErrnoException | null)?.code ?? "";
  if (code === "Z_BUF_ERROR") return endedEarly(undefined, thrown);
  if (code === "ERR_TRAILING_JUNK_AFTER_STREAM_END") {
    return tooLong(thrown);
  }
  if (code === "ZSTD_error_frameParameter_windowTooLarge") {
    return new CutoverError("bundle_invalid", "The bundle was compressed with a window of more than 8 MiB.", {
      unchanged: bundleUnchanged,
      fix: "Compress it with zstd's level 19 or lower, without --long.",
      cause: thrown,
    });
  }
  if (code === "ZSTD_error_dictionary_wrong") {
    return new CutoverError("bundle_invalid", "The bundle was compressed with a dictionary.", {
      unchanged: bundleUnchanged,
      fix: "Compress it without a dictionary.",
      cause: thrown,
    });
  }
  if (code.startsWith("Z_") || code.startsWith("ZSTD_")) {
    return new CutoverError("bundle_altered", "The bundle's compressed stream is damaged.", {
      unchanged: bundleUnchanged,
      fix: "Send it again. If that fails too, find out what changes it on the way.",
      cause: thrown,
    });
  }
  return thrown;
}
