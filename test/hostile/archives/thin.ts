import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Manifest } from "../../../shared/manifest.ts";
import { type BundleInput, makeBundle } from "../../fixtures/bundle.ts";
import type { Body, HostileArchive } from "./archive.ts";
import { rawEntry } from "./raw-tar.ts";
import { liveFiles } from "./victim.ts";

/** A bundle that leaves out what the live release has, which this host cannot give, or must not. */
export interface ThinArchive extends Omit<HostileArchive, "make"> {
  make: (live: Manifest) => Body;
  /** Makes the live release what it should not be. @param root the victim's directory */
  prepare?: (release: string, root: string) => void;
  /** The base that is asked for, where that is not the live release. */
  base?: string;
}

const code = "base_unusable";
const noLonger = (path: string) => new RegExp(`in which ${path} is no longer what was unpacked`);
const conf = "app/kept/conf.py";
const data = "app/kept/deep/data.bin";

/** app/a.py is new, what lies below app/kept is left out. */
const over =
  (input: BundleInput = {}) =>
  (live: Manifest): Body => {
    const { bytes, digest } = makeBundle({ files: { ...liveFiles, "app/a.py": "a = 1\n" }, base: live, ...input });
    return { body: bytes, digest };
  };
const make = over();

/** Puts a symlink in a path's place, to a copy of what was there that lies elsewhere. */
const moved = (path: string) => (release: string, root: string) => {
  const place = join(mkdtempSync(join(root, "elsewhere-")), "it");
  renameSync(join(release, path), place);
  symlinkSync(place, join(release, path));
};

const unreadable = /whose manifest cannot be read/;

/** Thin bundles whose base is not there, is another, or was changed on the host. */
export const thin: ThinArchive[] = [
  { name: "a base that is not there", code, reason: unreadable, make, base: "20260101T000000Z-0000000" },
  {
    name: "a base that only another app has",
    code,
    reason: unreadable,
    make,
    base: "20260202T000000Z-1111111",
    prepare: (release, root) => {
      const other = join(root, "data/apps/blog/releases");
      mkdirSync(other, { recursive: true });
      execFileSync("cp", ["-a", release, join(other, "20260202T000000Z-1111111")]);
    },
  },
  {
    name: "a base whose manifest is torn",
    code,
    reason: unreadable,
    make,
    prepare: (release) => writeFileSync(join(release, "manifest.json"), '{"files":['),
  },
  {
    name: "a base whose manifest has no files",
    code,
    reason: unreadable,
    make,
    prepare: (release) => writeFileSync(join(release, "manifest.json"), "{}"),
  },
  {
    name: "a file that the base does not have",
    code: "bundle_truncated",
    reason: /app\/new\.py is missing or cut off/,
    make: over({
      files: { ...liveFiles, "app/new.py": "new = 1\n" },
      changeEntries: (entries) => entries.filter(({ path }) => path !== "app/new.py"),
    }),
  },
  {
    name: "a file that the base has with other bytes",
    code: "bundle_truncated",
    reason: /app\/a\.py is missing or cut off/,
    make: over({ changeEntries: (entries) => entries.filter(({ path }) => path !== "app/a.py") }),
  },
  {
    name: "a file that the base has already, sent all the same",
    code: "bundle_unexpected_entry",
    reason: /"app\/kept\/conf\.py", after the manifest's last file/,
    make: over({
      changeEntries: (entries) => [...entries, { path: conf, content: Buffer.alloc(0), raw: rawEntry({ name: conf }) }],
    }),
  },
  {
    name: "a base's file with another byte",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => writeFileSync(join(release, conf), "kept = 2\n"),
  },
  {
    name: "a base's large file with another byte",
    code,
    reason: noLonger(data),
    make,
    prepare: (release) => writeFileSync(join(release, data), Buffer.alloc(300_000, "012345678x")),
  },
  {
    name: "a base's file that is longer",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => appendFileSync(join(release, conf), "#"),
  },
  {
    name: "a base's file that is gone",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => rmSync(join(release, conf)),
  },
  { name: "a symlink in a base's file's place", code, reason: noLonger(conf), make, prepare: moved(conf) },
  { name: "a symlink in a base's directory's place", code, reason: noLonger(conf), make, prepare: moved("app/kept") },
  {
    name: "a symlink in a deeper directory's place",
    code,
    reason: noLonger(data),
    make,
    prepare: moved("app/kept/deep"),
  },
  { name: "a symlink in the place of all of the project", code, reason: noLonger(conf), make, prepare: moved("app") },
  {
    name: "a symlink to a device in a base's file's place",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => {
      rmSync(join(release, conf));
      symlinkSync("/dev/zero", join(release, conf));
    },
  },
  {
    name: "a fifo in a base's file's place",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => {
      rmSync(join(release, conf));
      execFileSync("mkfifo", [join(release, conf)]);
    },
  },
  {
    name: "a directory in a base's file's place",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => {
      rmSync(join(release, conf));
      mkdirSync(join(release, conf));
    },
  },
  {
    name: "a file in a base's directory's place",
    code,
    reason: noLonger(conf),
    make,
    prepare: (release) => {
      rmSync(dirname(join(release, conf)), { recursive: true });
      writeFileSync(dirname(join(release, conf)), "");
    },
  },
];
