import { execFileSync } from "node:child_process";
import { gzipSync, constants as zlib, zstdCompressSync } from "node:zlib";
import { changed, goodBundle, type HostileArchive } from "./archive.ts";
import { octal, rawHeader } from "./raw-tar.ts";

const code = "bundle_invalid";
const tooLong = "bundle_too_long";
const altered = "bundle_altered";
const truncated = "bundle_truncated";
const neither = /neither zstd nor gzip/;
const noTar = /compressed, but it holds no tar archive/;
const damaged = /compressed stream is damaged/;
const early = /ended early/;
const afterStream = /after the end of its compressed stream/;

/** The good archive in another form, with the good one's digest. */
function as(change: (tar: Buffer) => Buffer) {
  return () => {
    const { tar, digest } = goodBundle();
    return { body: change(tar), digest };
  };
}

const by = (command: string) => as((tar) => execFileSync(command, ["-c"], { input: tar }));
const zstd = (tar: Buffer, params: Record<number, number> = {}) => zstdCompressSync(tar, { params });
const checked = (tar: Buffer) => zstd(tar, { [zlib.ZSTD_c_checksumFlag]: 1 });
const flip = (bytes: Buffer, at: number) => {
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 0x10;
  return bytes;
};
const cut = (make: (tar: Buffer) => Buffer, part: number) =>
  as((tar) => make(tar).subarray(0, Math.floor(make(tar).length * part)));
const skippable = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.from("skip")]);

/** 900 bytes for each that is sent, and more: what a decompressor makes of a few kilobytes. */
const zeros = (megabytes: number) => Buffer.alloc(megabytes * 1024 * 1024);

/** A frame that says it was made with a dictionary of this number. */
function withDictionary(frame: Buffer): Buffer {
  const descriptor = frame[4] ?? 0;
  const window = (descriptor >> 5) & 1 ? 0 : 1;
  return Buffer.concat([
    frame.subarray(0, 4),
    Buffer.from([descriptor | 1]),
    frame.subarray(5, 5 + window),
    Buffer.from([7]),
    frame.subarray(5 + window),
  ]);
}

/** Bodies whose compressed stream is another, too long, too short, damaged, or made to use up the host. */
export const streams: HostileArchive[] = [
  { name: "an empty body", code: truncated, reason: early, make: as(() => Buffer.alloc(0)) },
  { name: "one byte", code: truncated, reason: early, make: as(() => Buffer.from([0x28])) },
  { name: "the magic bytes alone", code: truncated, reason: early, make: as((tar) => zstd(tar).subarray(0, 4)) },
  { name: "a tar that is not compressed", code, reason: neither, make: as((tar) => tar) },
  { name: "a tar in xz", code, reason: neither, make: by("xz") },
  { name: "a tar in bzip2", code, reason: neither, make: by("bzip2") },
  { name: "a tar in lz4", code, reason: neither, make: by("lz4") },
  { name: "text", code, reason: neither, make: as(() => Buffer.from("hello, this is no bundle")) },
  {
    name: "a zip's magic bytes",
    code,
    reason: neither,
    make: as((tar) => Buffer.concat([Buffer.from("PK\x03\x04"), tar])),
  },
  {
    name: "zstd's magic bytes reversed",
    code,
    reason: neither,
    make: as((tar) => Buffer.concat([Buffer.from([0xfd, 0x2f, 0xb5, 0x28]), zstd(tar).subarray(4)])),
  },
  {
    name: "a skippable frame in front",
    code,
    reason: neither,
    make: as((tar) => Buffer.concat([skippable, zstd(tar)])),
  },
  {
    name: "a skippable frame behind",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar), skippable])),
  },
  {
    name: "a second zstd frame",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar), zstd(tar)])),
  },
  {
    name: "an empty second zstd frame",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar), zstd(Buffer.alloc(0))])),
  },
  {
    name: "an archive in two zstd frames",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar.subarray(0, 512)), zstd(tar.subarray(512))])),
  },
  {
    name: "one byte after the zstd frame",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar), Buffer.from([0])])),
  },
  {
    name: "a second gzip member",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([gzipSync(tar), gzipSync(tar)])),
  },
  {
    name: "an archive in two gzip members",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([gzipSync(tar.subarray(0, 512)), gzipSync(tar.subarray(512))])),
  },
  {
    name: "bytes after the gzip member",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([gzipSync(tar), Buffer.from("more")])),
  },
  {
    name: "a gzip member after the zstd frame",
    code: tooLong,
    reason: afterStream,
    make: as((tar) => Buffer.concat([zstd(tar), gzipSync(tar)])),
  },
  { name: "a bundle in a bundle's compression", code, reason: noTar, make: as((tar) => zstd(zstd(tar))) },
  { name: "compressed text", code, reason: noTar, make: as(() => zstd(Buffer.from("hello ".repeat(200)))) },
  {
    name: "compressed nothing",
    code: truncated,
    reason: /before its first entry/,
    make: as(() => zstd(Buffer.alloc(0))),
  },
  { name: "an archive that is empty", code, reason: noTar, make: as(() => zstd(Buffer.alloc(1024))) },
  {
    name: "a window of 128 MiB",
    code,
    reason: /a window of more than 8 MiB/,
    make: as((tar) =>
      zstd(Buffer.concat([tar, zeros(17)]), { [zlib.ZSTD_c_windowLog]: 27, [zlib.ZSTD_c_contentSizeFlag]: 0 }),
    ),
  },
  {
    name: "a frame made with a dictionary",
    code,
    reason: /compressed with a dictionary/,
    make: as((tar) => withDictionary(zstd(tar))),
  },
  { name: "a wrong checksum of zstd", code: altered, reason: damaged, make: as((tar) => flip(checked(tar), -1)) },
  {
    name: "a zstd frame without its checksum",
    code: truncated,
    reason: early,
    make: as((tar) => checked(tar).subarray(0, -4)),
  },
  { name: "a wrong checksum of gzip", code: altered, reason: damaged, make: as((tar) => flip(gzipSync(tar), -8)) },
  { name: "a wrong length in gzip", code: altered, reason: damaged, make: as((tar) => flip(gzipSync(tar), -1)) },
  { name: "gzip of another method", code: altered, reason: damaged, make: as((tar) => flip(gzipSync(tar), 2)) },
  {
    name: "a reserved bit in zstd's descriptor",
    code: altered,
    reason: damaged,
    make: as((tar) => {
      const frame = zstd(tar);
      frame[4] = (frame[4] ?? 0) | 8;
      return frame;
    }),
  },
  {
    name: "a reserved block in zstd",
    code: altered,
    reason: damaged,
    make: as(() => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x40, 0x07, 0x00, 0x00])),
  },
  ...[0.1, 0.5, 0.9, 0.99].map(
    (part) =>
      ({ name: `zstd cut off at ${part * 100} %`, code: truncated, reason: early, make: cut(zstd, part) }) as const,
  ),
  ...[0.1, 0.5, 0.9, 0.99].map(
    (part) =>
      ({ name: `gzip cut off at ${part * 100} %`, code: truncated, reason: early, make: cut(gzipSync, part) }) as const,
  ),
  {
    name: "a bomb after the end",
    code: tooLong,
    reason: /after its last file/,
    make: () => changed({ end: zeros(64) })(),
  },
  {
    name: "a bomb of gzip after the end",
    code: tooLong,
    reason: /after its last file/,
    make: as((tar) => gzipSync(Buffer.concat([tar, zeros(32)]))),
  },
  { name: "a bomb of nothing but zeros", code, reason: noTar, make: as(() => zstd(zeros(256))) },
  { name: "a bomb in a bomb", code, reason: noTar, make: as(() => zstd(Buffer.concat([zstd(zeros(64)), zeros(64)]))) },
  {
    name: "a bomb in the manifest's place",
    code: "manifest_invalid",
    reason: /more than 67108864 bytes/,
    make: as(() =>
      zstd(Buffer.concat([rawHeader({ name: "manifest.json", size: octal(900 * 1024 * 1024) }), zeros(128)])),
    ),
  },
  {
    name: "a bomb that the manifest calls a small file",
    code: "bundle_unexpected_entry",
    reason: /with 134217728 bytes instead of 6/,
    make: () =>
      changed({
        changeEntries: (entries) =>
          entries.map((entry) => (entry.path === "app/a.py" ? { ...entry, content: zeros(128) } : entry)),
      })(),
  },
];
