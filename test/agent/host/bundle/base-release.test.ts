import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { UnpackOptions } from "../../../../agent/contracts/ports.ts";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { type AppLayout, appLayout } from "../../../../agent/host/store/layout.ts";
import type { ErrorCode } from "../../../../shared/errors.ts";
import { type Bundle, type BundleInput, type FileInput, makeBundle, type TarEntry } from "../../../fixtures/bundle.ts";
import { scratch } from "../scratch.ts";

const first = "20261121T103000Z-3f2c1ab";
const second = "20261121T110000Z-3f2c1ac";
const large = Buffer.alloc(900_000, "0123456789");

const before: Record<string, FileInput> = {
  "app/a.py": "a = 1\n",
  "app/changed.py": "version = 1\n",
  "app/empty": "",
  "app/gone.py": "gone = 1\n",
  "app/large.bin": large,
  "app/mode.sh": "#!/bin/sh\n",
  "app/run.sh": { content: "#!/bin/sh\n", mode: 0o755 },
  "app/zz.py": "z = 1\n",
  "static/static/site.css": "body {}\n",
};
const { "app/gone.py": _gone, ...kept } = before;
const after: Record<string, FileInput> = {
  ...kept,
  "app/changed.py": "version = 2\n",
  "app/mode.sh": { content: "#!/bin/sh\n", mode: 0o755 },
  "app/new.py": "new = 1\n",
};

let releases: ReleaseDirectories;
let layout: AppLayout;
let base: Bundle;

beforeEach(async () => {
  const data = scratch();
  releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 } });
  layout = appLayout(data, "shop");
  base = makeBundle({ files: before, release: first, config: withStatic });
  await unpack(base.bytes);
});

const withStatic = { static: [{ url: "/static/", from: "assets" }] };

function unpack(bytes: Buffer, options: Partial<UnpackOptions> = {}) {
  const accept = async () => undefined;
  return releases.unpack("shop", Readable.from([bytes]), { accept, signal: new AbortController().signal, ...options });
}

/** The second release, thin over the first. */
function thin(input: BundleInput = {}): Bundle {
  const made = { files: after, release: second, created: "2026-11-21T11:00:00Z", config: withStatic };
  return makeBundle({ ...made, base: base.manifest, ...input });
}

async function expectRefused(bytes: Buffer, code: ErrorCode, release = first): Promise<void> {
  await expect(unpack(bytes, { base: release })).rejects.toMatchObject({
    code,
    unchanged: expect.stringMatching(/^Nothing/),
    fix: expect.any(String),
  });
  expect(readdirSync(layout.releases)).toEqual([first]);
}

/** Every entry below a directory with what a visitor or the app could tell apart. */
function tree(root: string): unknown[] {
  const paths = execFileSync("find", [root, "-mindepth", "1", "-printf", "%P\n"], { encoding: "utf8" });
  return paths
    .trim()
    .split("\n")
    .sort()
    .map((path) => {
      const status = lstatSync(join(root, path));
      const content = status.isFile() ? readFileSync(join(root, path)).toString("latin1") : undefined;
      return [path, status.mode, status.isDirectory() ? undefined : status.size, status.nlink, content].concat(
        status.isFile() ? [status.mtimeMs] : [],
      );
    });
}

describe("a thin bundle", () => {
  test("becomes the release that the whole one becomes, byte for byte, with modes and times", async () => {
    const { bytes, digest } = thin();
    const whole = thin({ base: undefined as never });
    expect(bytes.length).toBeLessThan(whole.bytes.length);
    expect(digest).toBe(whole.digest);
    const seen = await unpack(bytes, { base: first });
    expect(seen.digest).toBe(digest);
    const fromThin = tree(layout.release(second));
    await releases.remove("shop", second);
    await unpack(whole.bytes);
    expect(fromThin).toEqual(tree(layout.release(second)));
  });

  test("holds just what changed, and leaves the base as it is", async () => {
    const sent = thin().tar.toString("latin1");
    const inBase = tree(layout.release(first));
    for (const path of ["app/changed.py", "app/mode.sh", "app/new.py"]) expect(sent).toContain(`${path}\0`);
    for (const path of ["app/a.py", "app/large.bin", "app/run.sh"]) expect(sent).not.toContain(`${path}\0`);
    await unpack(thin().bytes, { base: first });
    const outside = (entries: unknown[]) => entries.map((entry) => (entry as unknown[]).toSpliced(3, 1));
    expect(outside(tree(layout.release(first)))).toEqual(outside(inBase));
  });

  test("takes files from the store, unread: they are the same files in both releases", async () => {
    const inode = (release: string, path: string) => lstatSync(join(layout.release(release), path)).ino;
    await unpack(thin().bytes, { base: first });
    for (const path of ["app/a.py", "app/large.bin", "app/run.sh", "static/static/site.css"])
      expect(inode(second, path)).toBe(inode(first, path));
    expect(inode(second, "app/changed.py")).not.toBe(inode(first, "app/changed.py"));
  });

  test("over a release from before there was a store reads and hashes its files, and keeps them", async () => {
    rmSync(layout.objects, { recursive: true });
    const inBase = tree(layout.release(first));
    await unpack(thin().bytes, { base: first });
    expect(tree(layout.release(first))).toEqual(inBase);
    const { nlink, ino } = lstatSync(join(layout.app(second), "a.py"));
    expect(nlink).toBe(2);
    expect(ino).not.toBe(lstatSync(join(layout.app(first), "a.py")).ino);
  });

  test("of nothing but its manifest is taken where nothing changed", async () => {
    const { bytes } = thin({ files: before });
    await unpack(bytes, { base: first });
    expect(readFileSync(join(layout.app(second), "large.bin")).equals(large)).toBe(true);
  });

  test("of thousands of files lets others have their turn meanwhile", async () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`app/${index}.py`, `n = ${index}\n`]));
    const third = "20261121T120000Z-3f2c1ad";
    base = makeBundle({ files: many, release: second });
    await unpack(base.bytes);
    let turns = 0;
    const done = unpack(thin({ files: many, release: third }).bytes, { base: second }).finally(() => {
      turns = -turns;
    });
    while (turns >= 0) {
      turns++;
      await setImmediate();
    }
    await done;
    expect(-turns).toBeGreaterThan(15);
  });

  test("is aborted while files are copied, and leaves nothing", async () => {
    const abort = new AbortController();
    const accept = async () => void setImmediate().then(() => abort.abort());
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`app/${index}.py`, `n = ${index}\n`]));
    base = makeBundle({ files: many, release: second });
    await unpack(base.bytes);
    const { bytes } = thin({ files: many, release: "20261121T120000Z-3f2c1ad" });
    const aborted = unpack(bytes, { base: second, accept, signal: abort.signal });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    expect(readdirSync(layout.releases).toSorted()).toEqual([first, second]);
  });
});

describe("a thin bundle is refused whole, and leaves nothing,", () => {
  const paths = ["app/a.py", "app/large.bin", "app/zz.py"];
  const changes: [string, (file: string) => void][] = [
    ["has another byte", (file) => writeFileSync(file, Buffer.from(readFileSync(file)).fill("X", 0, 1))],
    ["is longer", (file) => appendFileSync(file, "x")],
    ["is shorter", (file) => writeFileSync(file, readFileSync(file).subarray(1))],
    ["is gone", (file) => rmSync(file)],
    [
      "is a symlink to the same bytes",
      (file) => {
        renameSync(file, `${file}.real`);
        symlinkSync(`${file}.real`, file);
      },
    ],
    [
      "is a directory",
      (file) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
    [
      "is a pipe that nobody writes to",
      (file) => {
        rmSync(file);
        execFileSync("mkfifo", [file]);
      },
    ],
  ];
  for (const [what, change] of changes) {
    test.each(paths)(`when in its base, which has no objects, %s ${what}: base_unusable`, async (path) => {
      rmSync(layout.objects, { recursive: true });
      change(join(layout.release(first), path));
      await expectRefused(thin().bytes, "base_unusable");
    });
  }

  test("when its base is not there: base_unusable", async () => {
    await expectRefused(thin().bytes, "base_unusable", "20261121T090000Z-3f2c1aa");
  });

  test.each(["", "{", "null", '{"files":7}'])("when its base's manifest is %j: base_unusable", async (text) => {
    writeFileSync(layout.manifest(first), text);
    await expectRefused(thin().bytes, "base_unusable");
  });

  const drop = (path: string) => (entries: TarEntry[]) => entries.filter((entry) => entry.path !== path);
  test.each([
    ["changed", "app/changed.py", "bundle_unexpected_entry"],
    ["new, and the last", "app/new.py", "bundle_truncated"],
    ["of another mode", "app/mode.sh", "bundle_unexpected_entry"],
  ] as const)("when it leaves out a file that is %s", async (_, path, code) => {
    await expectRefused(thin({ changeEntries: drop(path) }).bytes, code);
  });

  test.each([
    ["before the others", "app/a.py", 1],
    ["at the end", "static/static/site.css", 4],
  ])("when it holds a file that its base has, %s", async (_, path, place) => {
    const entry = { path, content: Buffer.from(before[path] as string) };
    const changeEntries = (entries: TarEntry[]) => entries.toSpliced(place, 0, entry);
    await expectRefused(thin({ changeEntries }).bytes, "bundle_unexpected_entry");
  });

  test("when it is whole and a base is named", async () => {
    await expectRefused(makeBundle({ files: after, release: second }).bytes, "bundle_unexpected_entry");
  });

  test("when it is thin and none is named", async () => {
    const refused = unpack(thin().bytes);
    await expect(refused).rejects.toMatchObject({ code: "bundle_unexpected_entry" });
    expect(readdirSync(layout.releases)).toEqual([first]);
  });
});

describe("a release's files", () => {
  test("are told as its manifest says them, without its configuration", async () => {
    expect(await releases.files("shop", first)).toEqual({
      release: first,
      digest: base.digest,
      files: base.manifest.files,
    });
    await expect(releases.files("shop", second)).rejects.toMatchObject({ code: "release_not_found" });
  });
});

test("a file of an old base that cannot be written to, or has other names, is copied all the same", async () => {
  rmSync(layout.objects, { recursive: true });
  chmodSync(join(layout.app(first), "a.py"), 0o444);
  linkSync(join(layout.app(first), "zz.py"), join(layout.app(first), "zz.link"));
  await unpack(thin().bytes, { base: first });
  expect(lstatSync(join(layout.app(second), "a.py")).mode & 0o777).toBe(0o644);
  expect(existsSync(join(layout.app(second), "zz.link"))).toBe(false);
});
