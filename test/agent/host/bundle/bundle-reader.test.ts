import { expect, test } from "vitest";
import {
  type BundleSink,
  type FileContent,
  readBundle,
  sha256Of,
} from "../../../../agent/host/bundle/bundle-reader.ts";
import { makeBundle } from "../../../fixtures/bundle.ts";

/** So many pieces as bytes: whoever sends a bundle chooses how. */
async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

async function bytesOf(content: FileContent): Promise<{ bytes: Buffer; pieces: number }> {
  if ("whole" in content) return { bytes: content.whole, pieces: 1 };
  const pieces: Buffer[] = [];
  for await (const piece of content.pieces) pieces.push(piece);
  return { bytes: Buffer.concat(pieces), pieces: pieces.length };
}

test("a bundle that comes byte by byte is read in a time and in pieces that its sender does not choose", {
  timeout: 60_000,
}, async () => {
  const large = Buffer.alloc(300_000, "x");
  const config = { env: { A: "a".repeat(60_000), B: "b".repeat(60_000) } };
  const { tar, manifest } = makeBundle({ config, files: { "app/large.bin": large, "app/shop.py": "" } });
  const most = new Map<string, number>();
  const sink: BundleSink = {
    async manifest() {
      return undefined;
    },
    async file({ path }, content) {
      const { bytes, pieces } = await bytesOf(content);
      most.set(path, pieces);
      return sha256Of(bytes);
    },
  };
  const began = performance.now();
  await readBundle(single(tar), sink, { manifest: 64 * 1024 ** 2 });
  expect(performance.now() - began).toBeLessThan(5000);
  expect([...most.keys()]).toEqual(manifest.files.map(({ path }) => path));
  expect(most.get("app/large.bin")).toBeLessThan(30);
});
