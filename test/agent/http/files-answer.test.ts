import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { filesResponse } from "../../../agent/http/files-answer.ts";
import { filesColumns, fromColumns } from "../../../shared/files-columns.ts";
import { type ManifestFile, manifestDigest } from "../../../shared/manifest.ts";
import type { FilesView } from "../../../shared/protocol.ts";

const files = Array.from({ length: 2947 }, (_, index): ManifestFile => {
  const path = `app/shop/templates/page-${String(index).padStart(4, "0")}.html`;
  return {
    path,
    mode: index % 9 === 0 ? 0o755 : 0o644,
    size: index,
    sha256: manifestDigest(Buffer.from(path)).slice(7),
  };
});
const view: FilesView = { release: "20261121T103000Z-3f2c1ab", digest: `sha256:${"a".repeat(64)}`, files };
const none = { columns: false, known: undefined, encodings: undefined };

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

test("a caller of the last release gets rows, as they are", async () => {
  const response = await filesResponse(view, none);
  expect([response.status, response.headers.get("content-encoding")]).toEqual([200, null]);
  expect(await response.json()).toEqual(view);
});

test.each<[string, (bytes: Buffer) => Buffer]>([
  ["zstd", zstdDecompressSync],
  ["gzip", gunzipSync],
])("%s is used if the caller takes it", async (encoding, decompress) => {
  const response = await filesResponse(view, { ...none, encodings: `br;q=1, ${encoding};q=0.5` });
  expect(response.headers.get("content-encoding")).toBe(encoding);
  expect(response.headers.get("vary")).toBe("accept-encoding");
  expect(JSON.parse(decompress(await bytesOf(response)).toString())).toEqual(view);
});

test("what the caller does not take is not used", async () => {
  const response = await filesResponse(view, { ...none, encodings: "zstd;q=0, gzip;q=0.0, br" });
  expect(response.headers.get("content-encoding")).toBeNull();
});

test("columns have everything but the ends of the digests, in less than half of the bytes", async () => {
  const encodings = "zstd, gzip";
  const rows = await bytesOf(await filesResponse(view, { ...none, encodings }));
  const columns = await bytesOf(await filesResponse(view, { ...none, encodings, columns: true }));
  expect(columns.length).toBeLessThan(rows.length / 2);
  expect(columns.length).toBeLessThan(75_000);
  const read = fromColumns(filesColumns.parse(JSON.parse(zstdDecompressSync(columns).toString())));
  expect(read).toEqual({ ...view, files: files.map((file) => ({ ...file, sha256: file.sha256.slice(0, 32) })) });
});

test("columns that do not fit together are refused", () => {
  const good = {
    release: view.release,
    digest: view.digest,
    paths: ["app/a"],
    modes: [420],
    sizes: [1],
    sha256: "a".repeat(32),
  };
  expect(filesColumns.safeParse(good).success).toBe(true);
  for (const change of [{ modes: [] }, { sizes: [1, 2] }, { sha256: "a".repeat(31) }, { paths: [] }, { paths: [1] }]) {
    expect(filesColumns.safeParse({ ...good, ...change }).success).toBe(false);
  }
});

test("a caller that has them gets nothing but their tag", async () => {
  const other = `"sha256:${"b".repeat(64)}"`;
  const mine = `"${view.digest}"`;
  const response = await filesResponse(view, { ...none, columns: true, known: `${other}, ${mine}` });
  expect([response.status, response.headers.get("etag"), await response.text()]).toEqual([304, mine, ""]);
  expect((await filesResponse(view, { ...none, known: other })).status).toBe(200);
});
