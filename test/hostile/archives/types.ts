import { changed, type HostileArchive, headed, instead, preceded } from "./archive.ts";
import { binary, octal, paxEntry, rawEntry } from "./raw-tar.ts";

const code = "bundle_unexpected_entry";
const target = { link: "/etc/passwd" };
const noFile = /app\/a\.py as something other than a regular file/;
const manifestNoFile = /manifest\.json as something other than a regular file/;
const pax = /an extended header that does not just name app\/a\.py/;

const typed = (flag: string, more = {}) => headed({ flag, ...more });

/** Entries that are no regular files, or that want to be more than one. */
export const types: HostileArchive[] = [
  { name: "a symlink", code, reason: noFile, make: typed("2", { ...target, size: octal(0) }) },
  { name: "a symlink with a body", code, reason: noFile, make: typed("2", target) },
  { name: "a hard link", code, reason: noFile, make: typed("1", { ...target, size: octal(0) }) },
  { name: "a hard link with a body", code, reason: noFile, make: typed("1", target) },
  { name: "a character device", code, reason: noFile, make: typed("3", { devmajor: "000001 \0" }) },
  { name: "a block device", code, reason: noFile, make: typed("4", { devmajor: "000010 \0" }) },
  { name: "a directory", code, reason: noFile, make: typed("5") },
  {
    name: "a directory by the slash behind its name",
    code,
    reason: /"app\/a\.py\/"/,
    make: headed({ name: "app/a.py/" }),
  },
  { name: "a fifo", code, reason: noFile, make: typed("6") },
  { name: "a contiguous file", code, reason: noFile, make: typed("7") },
  { name: "a file of the old type NUL", code, reason: noFile, make: typed("\0") },
  { name: "a type that nobody knows", code, reason: noFile, make: typed("9") },
  { name: "a type beyond ASCII", code, reason: noFile, make: typed("\x01") },
  { name: "a GNU directory dump", code, reason: noFile, make: typed("D") },
  { name: "a GNU continuation of another volume", code, reason: noFile, make: typed("M") },
  { name: "an old GNU long name", code, reason: noFile, make: typed("N") },
  { name: "an old GNU sparse file", code, reason: noFile, make: typed("S") },
  { name: "a GNU volume's name", code, reason: noFile, make: typed("V") },
  { name: "a Solaris access list", code, reason: noFile, make: typed("A") },
  { name: "a Solaris extended header", code, reason: noFile, make: typed("X") },
  { name: "an inode of another vendor", code, reason: noFile, make: typed("I") },
  {
    name: "a file with the target of a link",
    code,
    reason: /app\/a\.py with the target of a link/,
    make: headed(target),
  },
  {
    name: "a GNU long name before a file",
    code,
    reason: /"\.\/\.\/@LongLink" where app\/a\.py belongs/,
    make: preceded(rawEntry({ name: "././@LongLink", flag: "L" }, "app/a.py\0")),
  },
  {
    name: "a GNU long name under the file's own name",
    code,
    reason: noFile,
    make: preceded(rawEntry({ name: "app/a.py", flag: "L" }, "../../etc/cron.d/x\0")),
  },
  {
    name: "a GNU long link before a file",
    code,
    reason: /"\.\/\.\/@LongLink" where app\/a\.py belongs/,
    make: preceded(rawEntry({ name: "././@LongLink", flag: "K" }, "/etc/passwd\0")),
  },
  {
    name: "a global pax header before the manifest",
    code,
    reason: /"PaxHeader\/a\.py" where manifest\.json belongs/,
    make: changed({ changeEntries: (entries) => [{ ...entries[0]!, raw: paxEntry({ mtime: "1" }, "g") }, ...entries] }),
  },
  {
    name: "a global pax header under the manifest's name",
    code,
    reason: manifestNoFile,
    make: instead("manifest.json", rawEntry({ name: "manifest.json", flag: "g" }, "16 path=app/x.py\n")),
  },
  {
    name: "a pax header before the manifest",
    code,
    reason: /"PaxHeader\/a\.py" where manifest\.json belongs/,
    make: changed({ changeEntries: (entries) => [{ ...entries[0]!, raw: paxEntry({ size: "1" }) }, ...entries] }),
  },
  {
    name: "a global pax header before a file",
    code,
    reason: /"PaxHeader\/a\.py" where app\/a\.py belongs/,
    make: preceded(paxEntry({ path: "app/a.py" }, "g")),
  },
  { name: "a pax header with another path", code, reason: pax, make: preceded(paxEntry({ path: "app/b.py" })) },
  { name: "a pax header with a path outside", code, reason: pax, make: preceded(paxEntry({ path: "../../a.py" })) },
  { name: "a pax header with a size", code, reason: pax, make: preceded(paxEntry({ path: "app/a.py", size: "0" })) },
  { name: "a pax header with the target of a link", code, reason: pax, make: preceded(paxEntry({ linkpath: "/etc" })) },
  { name: "a pax header with a mode", code, reason: pax, make: preceded(paxEntry({ mode: "0004755" })) },
  { name: "a pax header with an owner", code, reason: pax, make: preceded(paxEntry({ uid: "1000", uname: "joe" })) },
  {
    name: "a pax header with another character set for paths",
    code,
    reason: pax,
    make: preceded(paxEntry({ hdrcharset: "BINARY", path: "app/a.py" })),
  },
  {
    name: "a pax header with the path twice",
    code,
    reason: pax,
    make: preceded(rawEntry({ name: "x", flag: "x" }, "17 path=app/a.py\n17 path=app/b.py\n")),
  },
  {
    name: "a pax record whose length lies",
    code,
    reason: pax,
    make: preceded(rawEntry({ name: "x", flag: "x" }, "99 path=app/a.py\n")),
  },
  {
    name: "a sparse file, as pax writes it in version 0.1",
    code,
    reason: pax,
    make: preceded(paxEntry({ "GNU.sparse.size": "6", "GNU.sparse.numblocks": "0", "GNU.sparse.map": "0,6" })),
  },
  {
    name: "a sparse file, as pax writes it in version 1.0",
    code,
    reason: pax,
    make: preceded(paxEntry({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "app/a.py" })),
  },
  {
    name: "a pax header twice",
    code,
    reason: noFile,
    make: preceded(
      rawEntry({ name: "x", flag: "x" }, "17 path=app/a.py\n"),
      rawEntry({ name: "app/a.py", flag: "x" }, "17 path=app/a.py\n"),
    ),
  },
  {
    name: "a pax header that is said to have terabytes",
    code,
    reason: /"x" with a size that is not octal/,
    make: preceded(rawEntry({ name: "x", flag: "x", size: binary(1n << 42n) })),
  },
];
