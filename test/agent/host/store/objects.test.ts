import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { ReleaseDirectories } from "../../../../agent/host/bundle/releases.ts";
import { appLayout } from "../../../../agent/host/store/layout.ts";
import { bytecodeName, objectName, objectTime } from "../../../../agent/host/store/objects.ts";
import { type BundleInput, makeBundle } from "../../../fixtures/bundle.ts";
import { scratch } from "../scratch.ts";

const isRoot = process.geteuid?.() === 0;
const ids = ["20261121T100000Z-1111111", "20261121T100100Z-2222222", "20261121T100200Z-3333333"] as const;
const large = Buffer.alloc(700_000, "0123456789");
const files = {
  "app/a.py": "a = 1\n",
  "app/again.py": "a = 1\n",
  "app/large.bin": large,
  "app/run.sh": { content: "a = 1\n", mode: 0o755 as const },
};

function host(readOnly = false) {
  const data = scratch();
  const releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 }, readOnly });
  const layout = appLayout(data, "shop");
  const unpack = (input: BundleInput = {}, options: { base?: string } = {}) => {
    const accept = async () => undefined;
    const { bytes } = makeBundle({ files, ...input });
    return releases.unpack("shop", Readable.from([bytes]), {
      accept,
      signal: new AbortController().signal,
      ...options,
    });
  };
  const objects = () =>
    readdirSync(layout.objects, { recursive: true, encoding: "utf8" }).filter((path) => /^..\/./.test(path));
  const inode = (release: string, path: string) => statSync(join(layout.release(release), path)).ino;
  return { releases, layout, unpack, objects, inode };
}

test("an object is named by its content and by whether it can be executed, bytecode by its source and interpreter", () => {
  const sha256 = `ab${"0".repeat(62)}`;
  expect(objectName({ sha256, mode: 0o644 })).toBe(`ab/${"0".repeat(62)}`);
  expect(objectName({ sha256, mode: 0o755 })).toBe(`ab/${"0".repeat(62)}x`);
  expect(bytecodeName(sha256, "cpython-311")).toBe(`ab/${"0".repeat(62)}.cpython-311.pyc`);
});

test("an object's time is its bundle's, less seconds of a day that its content decides", () => {
  const created = "2026-11-21T10:30:00Z";
  const at = (digits: string) => Date.parse(created) - objectTime(created, digits.padEnd(64, "0")).getTime();
  expect([at("00000000"), at("00000001"), at("0001517f"), at("00015180")]).toEqual([0, 1000, 86_399_000, 0]);
});

describe("the store", () => {
  test("has each content once, for all files and releases that have it, and is the agent's alone", async () => {
    const { unpack, layout, objects, inode } = host();
    await unpack({ release: ids[0] });
    await unpack({ release: ids[1], files: { ...files, "app/a.py": "a = 2\n" } });
    // a = 1 with both modes, a = 2, and the large file.
    expect(objects()).toHaveLength(4);
    expect(inode(ids[0], "app/a.py")).toBe(inode(ids[0], "app/again.py"));
    expect(inode(ids[0], "app/a.py")).not.toBe(inode(ids[0], "app/run.sh"));
    expect(inode(ids[1], "app/large.bin")).toBe(inode(ids[0], "app/large.bin"));
    expect(readFileSync(join(layout.app(ids[1]), "a.py"), "utf8")).toBe("a = 2\n");
    expect(statSync(layout.objects).mode & 0o777).toBe(0o700);
  });

  test("five releases that differ in one file take the disk of one and five files", async () => {
    const { unpack, layout, releases } = host();
    for (let number = 0; number < 5; number++) {
      const release = `20261121T10000${number}Z-1111111`;
      await unpack({ release, files: { ...files, "app/version.py": `v = ${number}\n` } });
    }
    const kilobytes = (path: string) =>
      Number(/^\d+/.exec(execFileSync("du", ["-sk", path], { encoding: "utf8" }))?.[0]);
    expect(kilobytes(layout.home)).toBeLessThan(2 * 700);
    expect(await releases.freedBytes("shop", ["20261121T100000Z-1111111"])).toBeLessThan(100_000);
    const all = readdirSync(layout.releases);
    expect(await releases.freedBytes("shop", all)).toBeGreaterThan(700_000);
  });

  test("loses what no release has any more, and nothing else", async () => {
    const { unpack, releases, objects, layout } = host();
    await unpack({ release: ids[0], files: { ...files, "app/gone.py": "gone\n" } });
    await unpack({ release: ids[1] });
    await releases.prune("shop");
    expect(objects()).toHaveLength(4);
    await releases.remove("shop", ids[0]);
    await releases.prune("shop");
    expect(objects()).toHaveLength(3);
    await releases.remove("shop", ids[1]);
    await releases.prune("shop");
    expect(readdirSync(layout.objects)).toEqual([]);
    await releases.prune("nobodys");
  });

  test("trusts nothing that a power cut may have torn: what was never synced goes before the next release comes", async () => {
    const { unpack, releases, layout, inode } = host();
    await unpack({ release: ids[0] });
    const torn = statSync(join(layout.app(ids[0]), "large.bin")).ino;
    // The power was cut, and recovery has removed the release. Its objects are left, without their content.
    await releases.remove("shop", ids[0]);
    const object = join(layout.objects, objectName(makeBundle({ files }).manifest.files[2] ?? { sha256: "", mode: 0 }));
    expect(statSync(object).ino).toBe(torn);
    writeFileSync(object, "");
    await unpack({ release: ids[1] });
    expect(readFileSync(join(layout.app(ids[1]), "large.bin")).equals(large)).toBe(true);
    await releases.sync("shop", ids[1]);
    expect(existsSync(layout.unsynced)).toBe(false);
    await unpack({ release: ids[2] });
    expect([inode(ids[2], "app/large.bin"), existsSync(layout.unsynced)]).toEqual([
      inode(ids[1], "app/large.bin"),
      true,
    ]);
  });

  test.runIf(isRoot)(
    "on another file system than releases is not used: each release has files of its own",
    async () => {
      const { unpack, releases, layout, objects } = host();
      mkdirSync(layout.objects, { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "tmpfs", layout.objects]);
      onTestFinished(() => void execFileSync("umount", [layout.objects]));
      await unpack({ release: ids[0] });
      const { manifest } = makeBundle({ files });
      await unpack({ release: ids[1], base: manifest }, { base: ids[0] });
      for (const release of [ids[0], ids[1]]) {
        const { nlink, mtimeMs } = statSync(join(layout.app(release), "large.bin"));
        expect(nlink).toBe(1);
        expect(mtimeMs).toBe(objectTime(manifest.created, manifest.files[2]?.sha256 ?? "").getTime());
        expect(readFileSync(join(layout.app(release), "large.bin")).equals(large)).toBe(true);
      }
      expect(objects()).toEqual([]);
      expect((await releases.verify("shop")).faults).toEqual([]);
    },
  );

  test("of an agent whose objects moved to another file system is copied from, with modes and times", async () => {
    const { unpack, layout } = host();
    await unpack({ release: ids[0] });
    const moved = scratch();
    execFileSync("cp", ["-a", `${layout.objects}/.`, moved]);
    if (!isRoot) return;
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", layout.objects]);
    onTestFinished(() => void execFileSync("umount", [layout.objects]));
    execFileSync("cp", ["-a", `${moved}/.`, layout.objects]);
    rmSync(layout.unsynced);
    await unpack({ release: ids[1] });
    const [before, after] = [ids[0], ids[1]].map((release) => statSync(join(layout.app(release), "run.sh")));
    expect(after).toMatchObject({ mode: before?.mode, mtimeMs: before?.mtimeMs, size: before?.size, nlink: 1 });
  });

  test("in embedded mode has files that their owner cannot write to either", async () => {
    const { unpack, layout } = host(true);
    await unpack({ release: ids[0] });
    const modes = ["a.py", "run.sh"].map((name) => statSync(join(layout.app(ids[0]), name)).mode & 0o777);
    expect(modes).toEqual([0o444, 0o555]);
  });
});

describe("hashing everything again", () => {
  async function unpacked() {
    const made = host();
    await made.unpack({ release: ids[0] });
    await made.unpack({ release: ids[1], files: { ...files, "app/own.py": "own = 1\n" } });
    return made;
  }

  test("finds nothing in what was unpacked, and reads each content once", async () => {
    const { releases } = await unpacked();
    const { faults, files: hashed, releases: found } = await releases.verify("shop");
    expect([faults, found.map(({ id }) => id)]).toEqual([[], [ids[0], ids[1]]]);
    // Four objects, and the configuration of each release.
    expect(hashed).toBe(6);
  });

  test("names a changed file in each release that has it, and takes its object out of use", async () => {
    const { releases, layout, unpack } = await unpacked();
    writeFileSync(join(layout.app(ids[0]), "large.bin"), Buffer.alloc(700_000, "x"));
    const { faults } = await releases.verify("shop");
    expect(faults).toEqual([
      { path: expect.stringMatching(/^objects\/[0-9a-f]{2}\/[0-9a-f]{62}$/), what: "changed" },
      { release: ids[0], path: "app/large.bin", what: "changed" },
      { release: ids[1], path: "app/large.bin", what: "changed" },
    ]);
    // A thin bundle would take it from a release that differs. The Action sends the whole one then, which brings it again.
    const thin = unpack({ release: ids[2], base: makeBundle({ files }).manifest }, { base: ids[0] });
    await expect(thin).rejects.toMatchObject({ code: "base_unusable" });
    await unpack({ release: ids[2] });
    expect(readFileSync(join(layout.app(ids[2]), "large.bin")).equals(large)).toBe(true);
  });

  test.each<[string, (release: string) => void, object[]]>([
    ["a file that is gone", (at) => rmSync(join(at, "app/own.py")), [{ path: "app/own.py", what: "missing" }]],
    ["a file that is new", (at) => writeFileSync(join(at, "app/b.py"), ""), [{ path: "app/b.py", what: "unexpected" }]],
    [
      "another mode",
      (at) => chmodSync(join(at, "app/own.py"), 0o755),
      [
        { path: expect.stringMatching(/^objects/), what: "changed" },
        { path: "app/own.py", what: "changed" },
      ],
    ],
    [
      "another configuration",
      (at) => writeFileSync(join(at, "config.json"), "{}"),
      [{ path: "config.json", what: "changed" }],
    ],
    [
      "a torn manifest",
      (at) => writeFileSync(join(at, "manifest.json"), "{"),
      [{ path: "manifest.json", what: "changed" }],
    ],
    [
      "a pipe in a file's place",
      (at) => {
        rmSync(join(at, "app/own.py"));
        execFileSync("mkfifo", [join(at, "app/own.py")]);
      },
      [{ path: "app/own.py", what: "changed" }],
    ],
  ])("names %s", async (_, change, found) => {
    const { releases, layout } = await unpacked();
    change(layout.release(ids[1]));
    expect((await releases.verify("shop")).faults).toMatchObject(found);
  });

  test("passes over what deployments remove meanwhile", async () => {
    const { releases, layout } = await unpacked();
    const verified = releases.verify("shop");
    rmSync(layout.release(ids[1]), { recursive: true });
    await releases.prune("shop");
    expect((await verified).faults).toEqual([]);
  });
});
