import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync, constants as zlib, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CutoverError, type ErrorCode } from "../../../../shared/errors.ts";
import { type BundleInput, compress, entryBlocks, makeBundle, type TarEntry } from "../../../fixtures/bundle.ts";
import { bodyOf, files, host, id, mismatch } from "./unpacking-host.ts";

describe("a bundle is refused whole", () => {
  const entry = (path: string, change: Partial<TarEntry>) => (entries: TarEntry[]) =>
    entries.map((one) => (one.path === path ? { ...one, ...change } : one));
  const py = "app/shop/wsgi.py";
  const extra: TarEntry = { path: "app/extra.py", content: Buffer.from("x\n") };
  const cases: [string, ErrorCode, BundleInput][] = [
    [
      "a file's content differs",
      "bundle_altered",
      { changeEntries: entry(py, { content: Buffer.from("APPLICATION = None\n") }) },
    ],
    [
      "a file is longer",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { content: Buffer.from("longer than before it was\n") }) },
    ],
    ["a file has another path", "bundle_unexpected_entry", { changeEntries: entry(py, { path: "app/shop/wsgx.py" }) }],
    ["a path climbs out", "bundle_unexpected_entry", { changeEntries: entry(py, { path: "../../wsgi.py" }) }],
    [
      "a file is a symlink",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { type: "SymbolicLink", linkpath: "/etc/passwd" }) },
    ],
    [
      "a file is a hard link",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { type: "Link", linkpath: "/etc/passwd" }) },
    ],
    ["a file is a directory", "bundle_unexpected_entry", { changeEntries: entry("app/empty", { type: "Directory" }) }],
    [
      "a file is a device",
      "bundle_unexpected_entry",
      { changeEntries: entry("app/empty", { type: "CharacterDevice" }) },
    ],
    [
      "a file is of the contiguous type",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { type: "ContiguousFile" }) },
    ],
    ["a file names the target of a link", "bundle_unexpected_entry", { changeEntries: entry(py, { linkpath: "x" }) }],
    ["a file is set-user-id", "bundle_unexpected_entry", { changeEntries: entry(py, { mode: 0o4755 }) }],
    ["a file is sticky", "bundle_unexpected_entry", { changeEntries: entry(py, { mode: 0o1644 }) }],
    [
      "a pax header changes the size",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { pax: { path: py, size: 5 } }) },
    ],
    [
      "a pax header names another path",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { pax: { path: "app/x" } }) },
    ],
    ["a pax header names a link", "bundle_unexpected_entry", { changeEntries: entry(py, { pax: { linkpath: "x" } }) }],
    [
      "there is a global pax header",
      "bundle_unexpected_entry",
      { changeEntries: entry(py, { pax: { path: py }, globalPax: true }) },
    ],
    [
      "a GNU long name comes first",
      "bundle_unexpected_entry",
      {
        changeEntries: (all) => [
          ...all.slice(0, 1),
          { path: "././@LongLink", content: Buffer.from(`${py}\0`), type: "NextFileHasLongPath" },
          ...all.slice(1),
        ],
      },
    ],
    ["an entry comes before the manifest", "bundle_unexpected_entry", { changeEntries: (all) => [extra, ...all] }],
    [
      "an entry comes between",
      "bundle_unexpected_entry",
      { changeEntries: (all) => [...all.slice(0, 3), extra, ...all.slice(3)] },
    ],
    ["an entry comes last", "bundle_unexpected_entry", { changeEntries: (all) => [...all, extra] }],
    ["an entry comes twice", "bundle_unexpected_entry", { changeEntries: (all) => [...all, ...all.slice(-1)] }],
    ["the manifest comes twice", "bundle_unexpected_entry", { changeEntries: (all) => [...all, ...all.slice(0, 1)] }],
    [
      "two entries are exchanged",
      "bundle_unexpected_entry",
      { changeEntries: ([manifest, a, b, ...rest]) => [manifest!, b!, a!, ...rest] },
    ],
    ["a file is missing at the end", "bundle_truncated", { changeEntries: (all) => all.slice(0, -1) }],
    ["a file is missing in between", "bundle_unexpected_entry", { changeEntries: (all) => all.toSpliced(3, 1) }],
    ["the end is missing", "bundle_truncated", { end: Buffer.alloc(0) }],
    ["half of the end is missing", "bundle_truncated", { end: Buffer.alloc(512) }],
    [
      "an entry comes after the end",
      "bundle_too_long",
      { end: Buffer.concat([Buffer.alloc(1024), entryBlocks(extra), Buffer.alloc(1024)]) },
    ],
    ["bytes come after the end", "bundle_too_long", { end: Buffer.concat([Buffer.alloc(1024), Buffer.from("more")]) }],
    ["zeros go on and on", "bundle_too_long", { end: Buffer.alloc(20_000) }],
    [
      "the second block of the end is not empty",
      "bundle_too_long",
      { end: Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 1)]) },
    ],
    [
      "a manifest names a path outside",
      "manifest_invalid",
      { changeManifest: ({ files: [file] }) => void Object.assign(file!, { path: "app/../../x" }) },
    ],
    [
      "a manifest names another directory",
      "manifest_invalid",
      { changeManifest: ({ files: [file] }) => void Object.assign(file!, { path: "venv/x" }) },
    ],
    [
      "a manifest is of another format",
      "manifest_invalid",
      { changeManifest: (manifest) => void Object.assign(manifest, { format: 2 }) },
    ],
  ];
  test.each(cases)("where %s: %s", async (_, code, input) => {
    for (const compression of ["zstd", "gzip"] as const) {
      const { unpack, left } = host();
      const { bytes } = makeBundle({ files, ...input, compression });
      const refusal = await unpack(bytes).catch((thrown) => thrown);
      expect(refusal).toBeInstanceOf(CutoverError);
      expect(refusal).toMatchObject({ code, unchanged: expect.any(String), fix: expect.any(String) });
      expect(left()).toEqual([]);
    }
  });

  const { bytes, tar } = makeBundle({ files });
  const bodies: [string, ErrorCode, Buffer][] = [
    ["it is empty", "bundle_truncated", Buffer.alloc(0)],
    ["it is not compressed", "bundle_invalid", tar],
    ["it is text", "bundle_invalid", Buffer.from("hello, this is no bundle")],
    ["it is compressed text", "bundle_invalid", zstdCompressSync(Buffer.from("hello ".repeat(200)))],
    ["a second frame follows", "bundle_too_long", Buffer.concat([bytes, zstdCompressSync(tar)])],
    ["a second gzip member follows", "bundle_too_long", Buffer.concat([gzipSync(tar), gzipSync(tar)])],
    ["an empty frame follows", "bundle_too_long", Buffer.concat([bytes, zstdCompressSync(Buffer.alloc(0))])],
    ["bytes follow the frame", "bundle_too_long", Buffer.concat([bytes, Buffer.from("and more")])],
    ["zeros follow the gzip member", "bundle_too_long", Buffer.concat([gzipSync(tar), Buffer.alloc(64)])],
  ];
  test.each(bodies)("where %s: %s", async (_, code, body) => {
    // Pieces that end where the first frame ends are the ones that hide what follows.
    for (const piece of [1, 1000, bytes.length, gzipSync(tar).length]) {
      const { unpack, left } = host();
      await expect(unpack(body, {}, piece)).rejects.toMatchObject({ code });
      expect(left()).toEqual([]);
    }
  });

  test("where its frame asks for much memory: bundle_invalid", async () => {
    const { unpack } = host();
    const params = { [zlib.ZSTD_c_windowLog]: 27, [zlib.ZSTD_c_contentSizeFlag]: 0 };
    const big = makeBundle({ files: { "app/big": Buffer.alloc(17 * 1024 ** 2) } });
    await expect(unpack(zstdCompressSync(big.tar, { params }), {}, 10_000)).rejects.toMatchObject({
      code: "bundle_invalid",
    });
  });

  test("where it is cut off anywhere: bundle_truncated", async () => {
    const { unpackSigned, left } = host();
    for (const compression of ["zstd", "gzip"] as const) {
      const bundle = makeBundle({ files, compression });
      const step = Math.ceil(bundle.bytes.length / 60);
      for (let length = bundle.bytes.length - 1; length > 0; length -= step) {
        const cut = unpackSigned(bundle.bytes.subarray(0, length), bundle);
        await expect(cut, `${compression} at ${length}`).rejects.toMatchObject({ code: "bundle_truncated" });
      }
    }
    const bundle = makeBundle({ files: { "app/a.py": "x\n", "app/b.py": "y\n" } });
    for (let length = 0; length < bundle.tar.length; length += 256) {
      const cut = unpackSigned(compress(bundle.tar.subarray(0, length)), bundle);
      await expect(cut, `archive at ${length}`).rejects.toMatchObject({ code: "bundle_truncated" });
    }
    expect(left()).toEqual([]);
  });

  test("where any byte of its archive is altered", async () => {
    const { unpackSigned, left } = host();
    const bundle = makeBundle({ files: { "app/a.py": "x = 1\n", "app/ü.py": "y\n", "static/s/a.css": "z" } });
    for (let at = 0; at < bundle.tar.length; at += 7) {
      const tar = Buffer.from(bundle.tar);
      tar[at] = (tar[at] ?? 0) ^ 0x21;
      const refusal = await unpackSigned(compress(tar), bundle).catch((thrown) => thrown);
      expect(refusal, `byte ${at}`).toBeInstanceOf(CutoverError);
      expect(refusal.code, `byte ${at}`).toMatch(/^(?:bundle|manifest)_/);
    }
    expect(left()).toEqual([]);
  });

  test("where a byte of the compressed stream is altered, unless it is one that means nothing", async () => {
    for (const compression of ["zstd", "gzip"] as const) {
      const bundle = makeBundle({ files, compression });
      const codes = new Map<string, number>();
      for (let at = 0; at < bundle.bytes.length; at += 11) {
        const { unpackSigned, left, layout } = host();
        const bytes = Buffer.from(bundle.bytes);
        bytes[at] = (bytes[at] ?? 0) ^ 0x04;
        const result = await unpackSigned(bytes, bundle).catch((thrown) => thrown);
        if (result instanceof CutoverError) {
          expect(left()).toEqual([]);
          codes.set(result.code, (codes.get(result.code) ?? 0) + 1);
        } else {
          const large = readFileSync(join(layout.app(id), "large.bin"));
          expect(large.equals(files["app/large.bin"] as Buffer)).toBe(true);
          codes.set("same", (codes.get("same") ?? 0) + 1);
        }
      }
      expect([...codes.keys()].every((code) => /^(?:same|bundle_|manifest_)/.test(code))).toBe(true);
      expect(codes.get("same") ?? 0).toBeLessThanOrEqual(2);
      expect(codes.get("bundle_altered")).toBeGreaterThan(1);
    }
  });

  test("where what was signed for is another one, before anything is written", async () => {
    const { unpack, left, layout } = host();
    const accept = async () => {
      expect(existsSync(layout.releases)).toBe(false);
      mismatch(true);
    };
    await expect(unpack(makeBundle({ files }).bytes, { accept })).rejects.toMatchObject({ code: "manifest_mismatch" });
    expect(left()).toEqual([]);
  });

  test("where it is larger than the host allows: bundle_too_large", async () => {
    const { unpack, left } = host({ bundle: 700_000, free: 0 });
    await expect(unpack(makeBundle({ files }).bytes)).rejects.toMatchObject({ code: "bundle_too_large" });
    expect(left()).toEqual([]);
  });

  test("where the disk has too little room: disk_full", async () => {
    const { unpack, left } = host({ bundle: 1e9, free: Number.MAX_SAFE_INTEGER - 1e9 });
    await expect(unpack(makeBundle({ files }).bytes)).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringMatching(/needs .*B .* B? ?are free|needs .+ are free/),
    });
    expect(left()).toEqual([]);
  });

  test("where the host has its id already, which stays: release_exists", async () => {
    const { unpack, left, layout } = host();
    await unpack(makeBundle({ files: { "app/a.py": "first" } }).bytes);
    await expect(unpack(makeBundle({ files }).bytes)).rejects.toMatchObject({ code: "release_exists" });
    expect(left()).toEqual([id]);
    expect(readFileSync(join(layout.app(id), "a.py"), "utf8")).toBe("first");
  });

  test("where the sender breaks off, and the body is left open for an answer otherwise", async () => {
    const { releases, left } = host();
    const options = { accept: async () => undefined, signal: new AbortController().signal };
    const broken = new Readable({ read() {} });
    broken.push(bytes.subarray(0, bytes.length - 20));
    const refusal = releases.unpack("shop", broken, options);
    broken.destroy(new Error("ECONNRESET"));
    await expect(refusal).rejects.toMatchObject({ code: "bundle_truncated" });
    const altered = bodyOf(compress(Buffer.concat([tar.subarray(0, 512), Buffer.alloc(600_000, 1)])), 50);
    await expect(releases.unpack("shop", altered, options)).rejects.toBeInstanceOf(CutoverError);
    expect(altered.destroyed && !altered.readableEnded).toBe(false);
    expect(left()).toEqual([]);
  });

  test.each([0, 5, bytes.length - 30])("where it is aborted after %i bytes of a body that stalls", async (length) => {
    const { releases, left } = host();
    const stalled = new Readable({ read() {} });
    stalled.push(bytes.subarray(0, length));
    const refusal = releases.unpack("shop", stalled, {
      accept: async () => undefined,
      signal: AbortSignal.timeout(50),
    });
    await expect(refusal).rejects.toMatchObject({ code: "aborted" });
    expect(left()).toEqual([]);
  });
});
