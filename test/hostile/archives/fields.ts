import { createHash } from "node:crypto";
import { encodeManifest } from "../../../shared/manifest.ts";
import { goodBundle, type HostileArchive, headed, instead, withManifest } from "./archive.ts";
import { binary, octal, rawEntry, rawHeader } from "./raw-tar.ts";

const code = "bundle_unexpected_entry";
const special = /app\/a\.py with a set-user-id, set-group-id or sticky bit/;
const owner = /app\/a\.py with an owner/;
const damaged = /the header of an entry is damaged/;
const notOctal = (field: string) => new RegExp(`"app/a\\.py" with a ${field} that is not octal`);
const moreAfter = (field: string) => new RegExp(`with bytes after the end of its ${field}`);
const longPath = `app/${"d".repeat(90)}/${"e".repeat(60)}.py`;

/** A bundle of one file whose path needs ustar's prefix, with another header for it. */
function prefixed(prefix: Buffer) {
  return () => {
    const { manifest } = goodBundle();
    const sha256 = createHash("sha256").update("").digest("hex");
    const only = { ...manifest, files: [{ path: longPath, mode: 0o644 as const, size: 0, sha256 }] };
    const { digest } = withManifest(encodeManifest(only));
    const changeEntries = () => [
      { path: "manifest.json", content: encodeManifest(only) },
      { path: longPath, content: Buffer.alloc(0), raw: rawHeader({ name: longPath.slice(95), prefix }) },
    ];
    return { ...goodBundle({ changeEntries }), digest };
  };
}

/** Header blocks with fields that lie, or that two readers could read in two ways. */
export const fields: HostileArchive[] = [
  { name: "a set-user-id bit", code, reason: special, make: headed({ mode: "004644 \0" }) },
  { name: "a set-group-id bit", code, reason: special, make: headed({ mode: "002644 \0" }) },
  { name: "a sticky bit", code, reason: special, make: headed({ mode: "001644 \0" }) },
  {
    name: "a mode that lets everybody write",
    code,
    reason: /another mode than 644/,
    make: headed({ mode: "000666 \0" }),
  },
  {
    name: "a mode that makes it a program",
    code,
    reason: /another mode than 644/,
    make: headed({ mode: "000755 \0" }),
  },
  {
    name: "a mode with the bits of a type",
    code,
    reason: /another mode than 644/,
    make: headed({ mode: "0100644\0" }),
  },
  { name: "no mode", code, reason: /another mode than 644/, make: headed({ mode: "" }) },
  { name: "a mode of letters", code, reason: notOctal("mode"), make: headed({ mode: "rw-r--r-" }) },
  {
    name: "a manifest that is a program",
    code,
    reason: /manifest\.json with another mode than 644/,
    make: instead("manifest.json", rawEntry({ name: "manifest.json", mode: "000755 \0" }, "{}")),
  },
  { name: "a foreign user", code, reason: owner, make: headed({ uid: "001750 \0" }) },
  { name: "a foreign group", code, reason: owner, make: headed({ gid: "000041 \0" }) },
  { name: "a foreign user's name", code, reason: owner, make: headed({ uname: "www-data" }) },
  { name: "a foreign group's name", code, reason: owner, make: headed({ gname: "sudo" }) },
  { name: "a user that is binary", code, reason: notOctal("user"), make: headed({ uid: binary(1000n, 8) }) },
  { name: "a negative group", code, reason: notOctal("group"), make: headed({ gid: "-000001\0" }) },
  { name: "the number of a device", code, reason: /the number of a device/, make: headed({ devmajor: "000010 \0" }) },
  { name: "the number of a device in letters", code, reason: notOctal("device"), make: headed({ devminor: "sda1" }) },
  { name: "a size below zero in binary", code, reason: notOctal("size"), make: headed({ size: binary(-6n) }) },
  { name: "a size below zero in digits", code, reason: notOctal("size"), make: headed({ size: "-0000000006 " }) },
  { name: "the right size in binary", code, reason: notOctal("size"), make: headed({ size: binary(6n) }) },
  {
    name: "a size of exabytes in binary",
    code: "bundle_altered",
    reason: damaged,
    make: headed({ size: binary(1n << 62n) }),
  },
  {
    name: "a size of nothing but high bits",
    code: "bundle_altered",
    reason: damaged,
    make: headed({ size: Buffer.alloc(12, 0x80) }),
  },
  {
    name: "a size of 8 GiB less one byte",
    code,
    reason: /with 8589934591 bytes instead of 6/,
    make: headed({ size: octal(0o77777777777) }),
  },
  { name: "a size of one byte more", code, reason: /with 7 bytes instead of 6/, make: headed({ size: octal(7) }) },
  { name: "a size of one byte less", code, reason: /with 5 bytes instead of 6/, make: headed({ size: octal(5) }) },
  { name: "no size", code, reason: /with no bytes instead of 6/, make: headed({ size: "" }) },
  { name: "a size with letters behind it", code, reason: notOctal("size"), make: headed({ size: "00000000006x" }) },
  { name: "a size in hexadecimal", code, reason: notOctal("size"), make: headed({ size: "0x000000006 " }) },
  {
    name: "a size with a digit that is not octal",
    code,
    reason: notOctal("size"),
    make: headed({ size: "00000000068 " }),
  },
  {
    name: "a size that ends in the middle of its field",
    code,
    reason: notOctal("size"),
    make: headed({ size: "6\x0000000000 " }),
  },
  { name: "a size without an end", code, reason: notOctal("size"), make: headed({ size: "000000000006" }) },
  { name: "a time of letters", code, reason: notOctal("time"), make: headed({ mtime: "yesterday\0\0\0" }) },
  { name: "a time before 1970", code, reason: notOctal("time"), make: headed({ mtime: binary(-1n) }) },
  {
    name: "a name with NUL and more behind it",
    code,
    reason: moreAfter("name"),
    make: headed({ name: "app/a.py\0/../../x" }),
  },
  { name: "a link hidden behind NUL", code, reason: moreAfter("link"), make: headed({ link: "\0/etc/passwd" }) },
  { name: "a user's name hidden behind NUL", code, reason: moreAfter("user's name"), make: headed({ uname: "\0joe" }) },
  {
    name: "a group's name hidden behind NUL",
    code,
    reason: moreAfter("group's name"),
    make: headed({ gname: "root\0wheel" }),
  },
  { name: "a prefix hidden behind NUL", code, reason: moreAfter("prefix"), make: headed({ prefix: "\0../../.." }) },
  {
    name: "a prefix that climbs out",
    code,
    reason: /"\.\.\/\.\.\/app\/a\.py" where app\/a\.py belongs/,
    make: headed({ prefix: "../.." }),
  },
  {
    name: "another prefix for a long path",
    code,
    reason: /where app\/d+\/e+\.py belongs/,
    make: prefixed(Buffer.from(`xxx/${"d".repeat(90)}`)),
  },
  { name: "a name that is empty", code, reason: /"" where app\/a\.py belongs/, make: headed({ name: "" }) },
  { name: "an absolute name", code, reason: /"\/etc\/cron\.d\/x" where/, make: headed({ name: "/etc/cron.d/x" }) },
  { name: "a name that climbs out", code, reason: /"\.\.\/\.\.\/a\.py" where/, make: headed({ name: "../../a.py" }) },
  { name: "a name with a dot in front", code, reason: /"\.\/app\/a\.py" where/, make: headed({ name: "./app/a.py" }) },
  { name: "a name with two slashes", code, reason: /"app\/\/a\.py" where/, make: headed({ name: "app//a.py" }) },
  { name: "a name in capitals", code, reason: /"APP\/A\.PY" where/, make: headed({ name: "APP/A.PY" }) },
  {
    name: "a name that is not UTF-8",
    code,
    reason: /where app\/a\.py belongs/,
    make: headed({ name: Buffer.from("app/a\xff.py", "latin1") }),
  },
  {
    name: "the format of old GNU tar",
    code,
    reason: /in another format than ustar/,
    make: headed({ magic: "ustar  \0" }),
  },
  { name: "the format before ustar", code, reason: /in another format than ustar/, make: headed({ magic: "" }) },
  {
    name: "a version of ustar that is none",
    code,
    reason: /in another format than ustar/,
    make: headed({ magic: "ustar\x0099" }),
  },
  { name: "a wrong checksum", code: "bundle_altered", reason: damaged, make: headed({ checksum: "000000\0 " }) },
  { name: "a checksum of letters", code: "bundle_altered", reason: damaged, make: headed({ checksum: "checksum" }) },
  {
    name: "an empty checksum",
    code: "bundle_altered",
    reason: damaged,
    make: headed({ checksum: "\0\0\0\0\0\0\0\0" }),
  },
  {
    name: "a checksum with letters behind it",
    code: "bundle_altered",
    reason: damaged,
    make: () => {
      const right = rawHeader({ name: "app/a.py", size: octal(6) }).toString("latin1", 148, 154);
      return headed({ checksum: `${right}\0x` })();
    },
  },
  {
    name: "padding that is not empty",
    code: "bundle_altered",
    reason: /the padding after app\/a\.py is not empty/,
    make: instead("app/a.py", rawHeader({ name: "app/a.py", size: octal(6) }), Buffer.from("a = 1\n".padEnd(512, "#"))),
  },
];
