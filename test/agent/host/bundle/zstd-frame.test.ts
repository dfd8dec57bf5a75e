import { randomBytes } from "node:crypto";
import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { ZstdFrame } from "../../../../agent/host/bundle/zstd-frame.ts";

function lengthOf(bytes: Buffer, piece: number): number {
  const frame = new ZstdFrame();
  let taken = 0;
  for (let at = 0; at < bytes.length; at += piece) taken += frame.take(bytes.subarray(at, at + piece));
  return taken;
}

async function streamed(bytes: Buffer): Promise<Buffer> {
  const stream = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  stream.end(bytes);
  return Buffer.concat(await stream.toArray());
}

test.each([
  ["nothing", Buffer.alloc(0)],
  ["a little", Buffer.from("hello")],
  ["one byte many times", Buffer.alloc(400_000, 7)],
  ["what cannot be compressed", randomBytes(300_000)],
])("the frame of %s ends where the compressor ended it", async (_, content) => {
  const frames = [zstdCompressSync(content), await streamed(content)];
  frames.push(zstdCompressSync(content, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }));
  for (const frame of frames) {
    for (const piece of [1, 5, 1000, frame.length]) {
      expect(lengthOf(frame, piece)).toBe(frame.length);
      expect(lengthOf(Buffer.concat([frame, frame]), piece)).toBe(frame.length);
    }
  }
});
