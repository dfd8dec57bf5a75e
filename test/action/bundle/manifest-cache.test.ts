import { existsSync, readdirSync } from "node:fs";
import { zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { ManifestCache } from "../../../action/bundle/manifest-cache.ts";
import { readFilesAnswer } from "../../../action/client/live-files.ts";
import { manifestDigest } from "../../../shared/manifest.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import { Workspace } from "../workspace.ts";

const { manifest, digest } = makeBundle();
const bytes = Buffer.from(`${JSON.stringify(manifest)}\n`);
const nameOf = (hash: string) => `.cutover/manifests/${hash.slice("sha256:".length)}.json.zst`;

test("a manifest of an earlier job is found by its digest", async () => {
  using space = new Workspace();
  const cache = new ManifestCache(space.path);
  expect(await cache.digests()).toEqual([]);
  expect(await cache.read(digest)).toBeUndefined();
  await cache.keep(digest, bytes);
  expect(await cache.digests()).toEqual([digest]);
  expect(await cache.read(digest)).toEqual(manifest);
  expect(existsSync(space.at(".cutover/.gitignore"))).toBe(true);
});

test("what somebody else put into the cache is not used", async () => {
  using space = new Workspace();
  const cache = new ManifestCache(space.path);
  const evil = Buffer.from(bytes.toString().replace("app/shop.py", "app/evil.py"));
  space.write(nameOf(digest), zstdCompressSync(evil));
  expect(await cache.read(digest)).toBeUndefined();
  for (const damaged of ["", "not zstd", zstdCompressSync(bytes).subarray(0, 20)]) {
    space.write(nameOf(digest), Buffer.from(damaged));
    expect(await cache.read(digest)).toBeUndefined();
  }
  space.write(".cutover/manifests/evil", "");
  space.write(".cutover/manifests/..json.zst", "");
  expect(await cache.digests()).toEqual([digest]);
  // The agent is then asked once more, for all of it.
  const answer = { statusCode: 304, headers: { etag: `"${digest}"` }, destroy: () => undefined };
  const empty = { ...answer, async *[Symbol.asyncIterator]() {} };
  expect(await readFilesAnswer(empty, cache)).toBeUndefined();
});

test("only the last ones stay, and a directory that cannot be written is no failure", async () => {
  using space = new Workspace();
  const cache = new ManifestCache(space.path);
  for (let count = 0; count < 12; count++) {
    const other = Buffer.from(`${JSON.stringify({ ...manifest, commit: String(count) })}\n`);
    await cache.keep(manifestDigest(other), other);
  }
  expect(readdirSync(space.at(".cutover/manifests"))).toHaveLength(8);
  using blocked = new Workspace({ ".cutover": "a file" });
  await new ManifestCache(blocked.path).keep(digest, bytes);
});
