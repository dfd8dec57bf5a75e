import { compress, entryBlocks, type TarEntry } from "../../fixtures/bundle.ts";
import { changed, goodBundle, type HostileArchive } from "./archive.ts";

const code = "bundle_unexpected_entry";
const truncated = "bundle_truncated";
const tooLong = "bundle_too_long";
const afterLast = /goes on after its last file/;
const stranger: TarEntry = { path: "app/backdoor.py", content: Buffer.from("import os\n") };
const zeros = (length: number) => Buffer.alloc(length);

/** The entries of the good bundle: manifest, app/a.py, app/b/c.py, app/run.sh, static/static/site.css. */
const reordered = (...places: number[]) =>
  changed({ changeEntries: (entries) => places.map((place) => entries[place]!) });

/** The archive cut off before this block of 512 bytes: each header, each content and each block of the end in turn. */
function cutBefore(block: number, reason: RegExp): HostileArchive {
  const make = () => {
    const { tar, digest } = goodBundle();
    const fromEnd = tar.length - (endBlock - block) * 512;
    return { body: compress(tar.subarray(0, fromEnd)), digest };
  };
  return { name: `an archive that ends ${blocks[block]}`, code: truncated, reason, make };
}

const blocks = [
  "before its first file",
  "before the content of its first file",
  "before its second file",
  "before the content of its second file",
  "before its third file",
  "before the content of its third file",
  "before its last file",
  "before the content of its last file",
  "before the end is marked",
  "with one block in place of two",
];
const endBlock = blocks.length;

const missing = (path: string) => new RegExp(`${path} is missing or cut off`);

/** Entries that are missing, twice, too many or in another order, and archives that end too soon or never. */
export const order: HostileArchive[] = [
  { name: "a file twice", code, reason: /"app\/a\.py" where app\/b\/c\.py belongs/, make: reordered(0, 1, 1, 2, 3, 4) },
  {
    name: "a file again at the end",
    code,
    reason: /"app\/a\.py", after the manifest's last/,
    make: reordered(0, 1, 2, 3, 4, 1),
  },
  {
    name: "two files exchanged",
    code,
    reason: /"app\/b\/c\.py" where app\/a\.py belongs/,
    make: reordered(0, 2, 1, 3, 4),
  },
  {
    name: "files in the opposite order",
    code,
    reason: /"static\/static\/site\.css" where/,
    make: reordered(0, 4, 3, 2, 1),
  },
  {
    name: "a file too few at the start",
    code,
    reason: /"app\/b\/c\.py" where app\/a\.py belongs/,
    make: reordered(0, 2, 3, 4),
  },
  {
    name: "a file too few in between",
    code,
    reason: /"app\/run\.sh" where app\/b\/c\.py belongs/,
    make: reordered(0, 1, 3, 4),
  },
  {
    name: "a file too few at the end",
    code: truncated,
    reason: missing("static/static/site.css"),
    make: reordered(0, 1, 2, 3),
  },
  { name: "no file at all", code: truncated, reason: missing("app/a.py"), make: reordered(0) },
  { name: "no manifest", code, reason: /"app\/a\.py" where manifest\.json belongs/, make: reordered(1, 2, 3, 4) },
  {
    name: "the manifest last",
    code,
    reason: /"app\/a\.py" where manifest\.json belongs/,
    make: reordered(1, 2, 3, 4, 0),
  },
  {
    name: "the manifest twice",
    code,
    reason: /"manifest\.json" where app\/a\.py belongs/,
    make: reordered(0, 0, 1, 2, 3, 4),
  },
  { name: "the manifest again at the end", code, reason: /"manifest\.json", after/, make: reordered(0, 1, 2, 3, 4, 0) },
  {
    name: "a stranger before the manifest",
    code,
    reason: /"app\/backdoor\.py" where manifest\.json belongs/,
    make: changed({ changeEntries: (entries) => [stranger, ...entries] }),
  },
  {
    name: "a stranger between two files",
    code,
    reason: /"app\/backdoor\.py" where app\/b\/c\.py belongs/,
    make: changed({ changeEntries: (entries) => entries.toSpliced(2, 0, stranger) }),
  },
  {
    name: "a stranger after the last file",
    code,
    reason: /"app\/backdoor\.py", after the manifest's last file/,
    make: changed({ changeEntries: (entries) => [...entries, stranger] }),
  },
  {
    name: "a directory's entry before its files",
    code,
    reason: /"app\/b\/" where app\/b\/c\.py belongs/,
    make: changed({
      changeEntries: (entries) => entries.toSpliced(2, 0, { path: "app/b/", content: zeros(0), type: "Directory" }),
    }),
  },
  {
    name: "an empty block between two files",
    code: truncated,
    reason: missing("app/b/c.py"),
    make: changed({ changeEntries: (all) => all.toSpliced(2, 0, { ...stranger, raw: zeros(512) }) }),
  },
  {
    name: "the end of an archive between two files",
    code: truncated,
    reason: missing("app/b/c.py"),
    make: changed({ changeEntries: (all) => all.toSpliced(2, 0, { ...stranger, raw: zeros(1024) }) }),
  },
  {
    name: "a stranger after the end",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: Buffer.concat([zeros(1024), entryBlocks(stranger), zeros(1024)]) }),
  },
  {
    name: "a whole second archive after the end",
    code: tooLong,
    reason: afterLast,
    make: () => changed({ end: Buffer.concat([zeros(1024), goodBundle().tar]) })(),
  },
  {
    name: "a stranger between the two blocks of the end",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: Buffer.concat([zeros(512), entryBlocks(stranger), zeros(1024)]) }),
  },
  {
    name: "one byte after the end",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: Buffer.concat([zeros(1024), Buffer.from("x")]) }),
  },
  {
    name: "bytes in place of the end",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: Buffer.alloc(1024, 1) }),
  },
  {
    name: "bytes in place of the end's second block",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: Buffer.concat([zeros(512), Buffer.alloc(512, 1)]) }),
  },
  {
    name: "more zeros after the end than a record has",
    code: tooLong,
    reason: afterLast,
    make: changed({ end: zeros(1024 + 10_241) }),
  },
  {
    name: "half a block at the end",
    code: truncated,
    reason: /the blocks that end an archive are missing/,
    make: changed({ end: zeros(256) }),
  },
  ...blocks.map((_, block) => {
    const path = ["app/a.py", "app/b/c.py", "app/run.sh", "static/static/site.css"][Math.floor(block / 2)];
    return cutBefore(block, path === undefined ? /the blocks that end an archive are missing/ : missing(path));
  }),
];
