import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync, constants as zlib, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { UnpackOptions } from "../../../../agent/contracts/ports.ts";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { CutoverError, type ErrorCode } from "../../../../shared/errors.ts";
import {
  type Bundle,
  type BundleInput,
  compress,
  entryBlocks,
  makeBundle,
  type TarEntry,
} from "../../../fixtures/bundle.ts";
import { scratch } from "../scratch.ts";

const id = "20261121T103000Z-3f2c1ab";

function host(limits = { bundle: 1e9, free: 0 }) {
  const data = scratch();
  const releases = new ReleaseDirectories({ data, limits });
  const layout = appLayout(data, "shop");
  const unpack = (bytes: Buffer, options: Partial<UnpackOptions> = {}, piece = 1000) =>
    releases.unpack("shop", bodyOf(bytes, piece), {
      accept: async () => undefined,
      signal: new AbortController().signal,
      ...options,
    });
  /** Takes only the bundle that was signed for, as the deploy code does. */
  const unpackSigned = (bytes: Buffer, { digest }: Bundle, piece?: number) =>
    unpack(bytes, { accept: async (_, found) => mismatch(found !== digest) }, piece);
  const left = () => (existsSync(layout.releases) ? readdirSync(layout.releases) : []);
  return { releases, layout, unpack, unpackSigned, left };
}

function mismatch(is: boolean): void {
  if (is) throw new CutoverError("manifest_mismatch", "another manifest");
}

function bodyOf(bytes: Buffer, piece: number): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += piece) pieces.push(bytes.subarray(at, at + piece));
  return Readable.from(pieces, { objectMode: false });
}

const files = {
  "app/shop/wsgi.py": "application = None\n",
  "app/run.sh": { content: "#!/bin/sh\n", mode: 0o755 as const },
  "app/empty": "",
  "app/exactly-a-block": "x".repeat(512),
  "app/large.bin": Buffer.alloc(700_000, "0123456789"),
  [`app/${"long/".repeat(30)}größer.txt`]: "a long path with letters beyond ASCII",
  "static/static/site.css": "body {}\n",
};

describe("a bundle", () => {
  test.each(["zstd", "gzip"] as const)("packed with %s is unpacked as its manifest says", async (compression) => {
    const { unpack, layout, left, releases } = host();
    const bundle = makeBundle({ files, compression });
    const { digest, manifest } = await unpack(bundle.bytes);
    expect(digest).toBe(bundle.digest);
    expect(manifest).toEqual(bundle.manifest);
    expect(left()).toEqual([id]);
    for (const file of bundle.manifest.files) {
      const status = lstatSync(join(layout.release(id), file.path));
      expect([file.path, status.mode & 0o7777, status.size]).toEqual([file.path, file.mode, file.size]);
    }
    const large = readFileSync(join(layout.app(id), "large.bin"));
    expect(large.equals(files["app/large.bin"] as Buffer)).toBe(true);
    expect(statSync(join(layout.app(id), "shop")).mode & 0o7777).toBe(0o755);
    expect(await releases.config("shop", id)).toEqual(bundle.manifest.config);
  });

  test("comes out the same from pieces of any size", async () => {
    for (const piece of [1, 7, 511, 1_000_000]) {
      const { unpackSigned, left } = host();
      const bundle = makeBundle({ files: { "app/größe.py": "x = 1\n", "app/b.bin": Buffer.alloc(5000, 1) } });
      await unpackSigned(bundle.bytes, bundle, piece);
      expect(left()).toEqual([id]);
    }
  });

  test("gives its files the time of its creation, so that nginx's ETag differs between releases and not between hosts", async () => {
    const { unpack, layout } = host();
    const next = "20261121T110000Z-3f2c1ac";
    await unpack(makeBundle({ files, created: "2026-11-21T10:30:00Z" }).bytes);
    await unpack(makeBundle({ files, created: "2026-11-21T11:00:00Z", release: next }).bytes);
    const css = (release: string) => statSync(join(layout.static(release), "static/site.css"));
    expect(css(id).mtime).toEqual(new Date("2026-11-21T10:30:00Z"));
    expect(css(next).mtime).toEqual(new Date("2026-11-21T11:00:00Z"));
    expect(css(next).size).toBe(css(id).size);
  });

  test("is not touched by the agent's umask", async () => {
    const { unpack, layout } = host();
    const before = process.umask(0o077);
    try {
      await unpack(makeBundle({ files }).bytes);
    } finally {
      process.umask(before);
    }
    expect(statSync(layout.release(id)).mode & 0o777).toBe(0o755);
    expect(statSync(join(layout.app(id), "shop/wsgi.py")).mode & 0o777).toBe(0o644);
  });

  test("with padding as GNU tar writes it is taken", async () => {
    const { unpack, left } = host();
    await unpack(makeBundle({ end: Buffer.alloc(10_240) }).bytes);
    expect(left()).toEqual([id]);
  });

  test("of the same id replaces what an interrupted unpack left", async () => {
    const { unpack, layout, left } = host();
    mkdirSync(join(layout.partial(id), "app"), { recursive: true });
    writeFileSync(join(layout.partial(id), "app/old.py"), "");
    await unpack(makeBundle({ files }).bytes);
    expect(left()).toEqual([id]);
    expect(existsSync(join(layout.app(id), "old.py"))).toBe(false);
  });
});

describe("collected static files", () => {
  const css = { "static/static/site.css": "body {}\n" };
  const from = (path: string) => ({ static: [{ url: "/static/", from: path }] });

  test("are found where the project collected them", async () => {
    const { unpack, layout } = host();
    await unpack(makeBundle({ files: { ...css, "app/a.py": "" }, config: from("build/./assets") }).bytes);
    expect(readlinkSync(join(layout.app(id), "build/assets"))).toBe("../../static/static");
    expect(readFileSync(join(layout.app(id), "build/assets/site.css"), "utf8")).toBe("body {}\n");
  });

  test.each([
    ["the project has a folder there", { "app/assets/own.css": "" }, "assets"],
    ["a file stands in the way", { "app/assets": "" }, "assets/inner"],
    ["it is the project itself", { "app/a.py": "" }, "."],
  ])("are not linked where %s", async (_, own, path) => {
    const { unpack, layout } = host();
    await unpack(makeBundle({ files: { ...css, ...own }, config: from(path) }).bytes);
    const links = execFileSync("find", [layout.app(id), "-type", "l"], { encoding: "utf8" });
    expect(links).toBe("");
  });
});

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

describe("releases", () => {
  const next = "20261121T110000Z-3f2c1ac";

  test("are removed with what an interrupted unpack left, and once more without an error", async () => {
    const { unpack, releases, layout, left } = host();
    await unpack(makeBundle({ files }).bytes);
    mkdirSync(layout.partial(id));
    await releases.remove("shop", id);
    await releases.remove("shop", id);
    expect(left()).toEqual([]);
    await expect(releases.config("shop", id)).rejects.toMatchObject({ code: "release_not_found" });
  });

  test("are listed with what their manifests say, whole ones alone, and told where the links point", async () => {
    const { unpack, releases, layout } = host();
    expect([await releases.list("shop"), await releases.published("shop")]).toEqual([
      [],
      { current: null, previous: null },
    ]);
    await unpack(makeBundle({ files }).bytes);
    const { manifest, digest } = await unpack(makeBundle({ files, release: next }).bytes);
    mkdirSync(layout.partial("20261121T120000Z-3f2c1ad"));
    writeFileSync(layout.manifest(id), "{ torn");
    const { commit, repository, created } = manifest;
    expect(await releases.list("shop")).toEqual([{ id: next, digest, commit, repository, created }]);
    expect(await releases.manifest("shop", next)).toEqual(manifest);
    await releases.publish("shop", { current: next, previous: id });
    expect(await releases.published("shop")).toEqual({ current: next, previous: id });
  });

  test("are published by links that nginx follows", async () => {
    const { unpack, releases, layout } = host();
    await unpack(makeBundle({ files }).bytes);
    await unpack(makeBundle({ files, release: next }).bytes);
    await releases.sync("shop", id);
    await releases.publish("shop", { current: id });
    await releases.publish("shop", { current: next, previous: id });
    const [current, previous, canary] = (["current", "previous", "canary"] as const).map(layout.published);
    expect([readlinkSync(current ?? ""), readlinkSync(previous ?? "")]).toEqual([`releases/${next}`, `releases/${id}`]);
    expect(existsSync(join(current ?? "", "static/static/site.css"))).toBe(true);
    // A redeploy of the same release: the pages that are out there still ask for the files of the one before.
    await releases.publish("shop", { current: next });
    expect(readlinkSync(previous ?? "")).toBe(`releases/${id}`);
    await releases.publish("shop", { canary: id });
    expect(readlinkSync(canary ?? "")).toBe(`releases/${id}`);
    await releases.publish("shop", { canary: null, staged: null });
    expect(existsSync(canary ?? "")).toBe(false);
  });
});
