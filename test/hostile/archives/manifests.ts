import { encodeManifest, manifestDigest, manifestLimits } from "../../../shared/manifest.ts";
import { compress } from "../../fixtures/bundle.ts";
import { changed, goodBundle, type HostileArchive, instead, manifested, pathed, withManifest } from "./archive.ts";
import { octal, rawEntry, rawHeader } from "./raw-tar.ts";

const code = "manifest_invalid";
const twice = /not as JSON\.stringify writes it: a key occurs twice/;
const strange = /Unrecognized key/;

/** A manifest with a text put in another's place. */
const edited = (from: string, to: string) => () =>
  withManifest(
    Buffer.from(
      encodeManifest(goodBundle().manifest)
        .toString()
        .replace(from, () => to),
    ),
  );

const text = (content: string | Buffer) => () => withManifest(Buffer.from(content));

/** The good manifest with other files, however many: made as text, since they are too many to sign one by one. */
function listing(count: number, path: (index: number) => string) {
  return () => {
    const { manifest } = goodBundle();
    const file = { mode: 0o644 as const, size: 0, sha256: "0".repeat(64) };
    const files = Array.from({ length: count }, (_, index) => ({ path: path(index), ...file }));
    return withManifest(encodeManifest({ ...manifest, files }));
  };
}

const digits = (index: number) => String(index).padStart(6, "0");

/** Manifests that are not the one form that there is, or that name what must not be written. */
export const manifests: HostileArchive[] = [
  { name: "a manifest of no bytes", code, reason: /it is not JSON/, make: text("") },
  { name: "a manifest that is no JSON", code, reason: /it is not JSON/, make: text("format: 1\n") },
  { name: "a manifest cut off in the middle", code, reason: /it is not JSON/, make: edited('"files":[', "") },
  { name: "a manifest that is a list", code, reason: /expected object/, make: text("[]\n") },
  { name: "a manifest that is null", code, reason: /expected object/, make: text("null\n") },
  {
    name: "a manifest with a byte order mark",
    code,
    reason: /it begins with a byte order mark/,
    make: edited("{", "\ufeff{"),
  },
  {
    name: "a manifest in UTF-16",
    code,
    reason: /it is not UTF-8/,
    make: () => withManifest(Buffer.from(`\ufeff${encodeManifest(goodBundle().manifest)}`, "utf16le")),
  },
  {
    name: "a manifest with a byte that is no UTF-8",
    code,
    reason: /it is not UTF-8/,
    make: () => withManifest(Buffer.from('{"format":1,"app":"sh\xffop"}\n', "latin1")),
  },
  {
    name: "a manifest with a path in overlong UTF-8",
    code,
    reason: /it is not UTF-8/,
    make: () => withManifest(Buffer.from('{"path":"\xc0\xae\xc0\xae/x"}\n', "latin1")),
  },
  { name: "a key of the manifest twice", code, reason: twice, make: edited('"format":1,', '"format":1,"format":1,') },
  { name: "the files of the manifest twice", code, reason: twice, make: edited('"files":', '"files":[],"files":') },
  {
    name: "a file's path twice in one entry",
    code,
    reason: twice,
    make: edited('{"path":"app/a.py"', '{"path":"app/x.py","path":"app/a.py"'),
  },
  { name: "spaces in the manifest", code, reason: twice, make: edited('"format":1', '"format": 1') },
  {
    name: "a second value after the manifest",
    code,
    reason: /it is not JSON/,
    make: () => withManifest(Buffer.concat([encodeManifest(goodBundle().manifest), Buffer.from("{}\n")])),
  },
  {
    name: "a path with a letter written as an escape",
    code,
    reason: twice,
    make: edited("app/a.py", "app/\\u0061.py"),
  },
  { name: "a size written as a power of ten", code, reason: twice, make: edited('"size":6', '"size":6e0') },
  {
    name: "a __proto__ in the manifest",
    code,
    reason: strange,
    make: edited('"format":1', '"format":1,"__proto__":{"files":[]}'),
  },
  {
    name: "a __proto__ in a file's entry",
    code,
    reason: strange,
    make: edited('"mode":420', '"mode":420,"__proto__":{"mode":2541}'),
  },
  {
    name: "a constructor in the manifest",
    code,
    reason: strange,
    make: edited('"format":1', '"format":1,"constructor":{"prototype":{}}'),
  },
  { name: "a key that nobody knows", code, reason: strange, make: edited('"format":1', '"format":1,"run":"id"') },
  { name: "another format", code, reason: /format: Invalid input/, make: edited('"format":1', '"format":2') },
  { name: "no app", code, reason: /app: Invalid input/, make: edited('"app":"shop",', "") },
  {
    name: "an app that is a path",
    code,
    reason: /app: 1 to 32/,
    make: manifested((manifest) => void Object.assign(manifest, { app: "../shop" })),
  },
  {
    name: "a release that is a path",
    code,
    reason: /release: like/,
    make: manifested((manifest) => void Object.assign(manifest, { release: "../../../etc" })),
  },
  {
    name: "a release with NUL behind it",
    code,
    reason: /release: like/,
    make: manifested((manifest) => void Object.assign(manifest, { release: "20261121T103000Z-3f2c1ab\0" })),
  },
  {
    name: "a release with a newline behind it",
    code,
    reason: /release: like/,
    make: manifested((manifest) => void Object.assign(manifest, { release: "20261121T103000Z-3f2c1ab\n" })),
  },
  {
    name: "a time that is none",
    code,
    reason: /created: Invalid ISO/,
    make: manifested((manifest) => void Object.assign(manifest, { created: "now" })),
  },
  {
    name: "a configuration that is none",
    code,
    reason: /config: Invalid input/,
    make: manifested((manifest) => void Object.assign(manifest, { config: [] })),
  },
  {
    name: "files that are no list",
    code,
    reason: /files: Invalid input/,
    make: edited('"files":[', '"files":{"length":1},"more":['),
  },
  {
    name: "brackets nested a million deep",
    code,
    reason: /nested deeper than 16/,
    make: text(`${"[".repeat(1_000_000)}`),
  },
  {
    name: "a million empty objects",
    code,
    reason: /more than 1048576 bytes besides its list/,
    make: text(`[${"{},".repeat(600_000)}{}]\n`),
  },
  {
    name: "a list of wrong files without end",
    code,
    reason: /files\.0\.path: Invalid input/,
    make: edited('"files":[', `"files":[${"{},".repeat(199_000)}`),
  },
  {
    name: "200,001 files",
    code,
    reason: /files: more than 200000/,
    make: listing(200_001, (index) => `app/${digits(index)}`),
  },
  {
    name: "200,001 directories",
    code,
    reason: /more than 200000 directories/,
    make: listing(4_000, (index) => `app/${digits(index)}${"/d".repeat(55)}/f`),
  },
  {
    name: "a manifest said to have more than 64 MiB",
    code,
    reason: /more than 67108864 bytes/,
    make: instead("manifest.json", rawHeader({ name: "manifest.json", size: octal(manifestLimits.bytes + 1) })),
  },
  {
    name: "a manifest said to have 8 GiB",
    code,
    reason: /more than 67108864 bytes/,
    make: instead("manifest.json", rawHeader({ name: "manifest.json", size: octal(0o77777777777) })),
  },
  {
    name: "a manifest longer than the archive",
    code: "bundle_truncated",
    reason: /ended early: in manifest\.json/,
    make: instead("manifest.json", rawHeader({ name: "manifest.json", size: octal(1_000_000) })),
  },
  { name: "a path with .. in front", code, reason: /not below app\//, make: pathed("../app/a.py") },
  { name: "a path with .. inside", code, reason: /empty, \. or \.\. part/, make: pathed("app/../../x") },
  { name: "a path with .. at its end", code, reason: /empty, \. or \.\. part/, make: pathed("app/..") },
  { name: "a path with . inside", code, reason: /empty, \. or \.\. part/, make: pathed("app/./a.py") },
  { name: "a path with an empty part", code, reason: /empty, \. or \.\. part/, make: pathed("app//a.py") },
  { name: "a path with a slash at its end", code, reason: /empty, \. or \.\. part/, make: pathed("app/a.py/") },
  { name: "an empty path", code, reason: /not below app\//, make: pathed("") },
  { name: "an absolute path", code, reason: /not below app\//, make: pathed("/etc/cron.d/x") },
  { name: "a path with a drive", code, reason: /not below app\//, make: pathed("C:/app/a.py") },
  {
    name: "a path with a backslash",
    code,
    reason: /a backslash or a control character/,
    make: pathed("app\\..\\a.py"),
  },
  { name: "a path with NUL", code, reason: /a backslash or a control character/, make: pathed("app/a.py\0.txt") },
  { name: "a path with a newline", code, reason: /a backslash or a control character/, make: pathed("app/a\n.py") },
  {
    name: "a path with an escape",
    code,
    reason: /a backslash or a control character/,
    make: pathed("app/\u001b[2J.py"),
  },
  {
    name: "a path with a control character beyond ASCII",
    code,
    reason: /a backslash or a control character/,
    make: pathed("app/a\u0085.py"),
  },
  { name: "a path with half of a Unicode pair", code, reason: /not valid Unicode/, make: pathed("app/\ud800.py") },
  {
    name: "a path with a part of 256 bytes",
    code,
    reason: /a part longer than 255 bytes/,
    make: pathed(`app/${"ü".repeat(128)}`),
  },
  {
    name: "a path of 1,025 bytes",
    code,
    reason: /longer than 1024 bytes/,
    make: pathed(`app/${`${"x".repeat(200)}/`.repeat(5)}${"y".repeat(16)}`),
  },
  { name: "a path 65 deep", code, reason: /deeper than 64/, make: pathed(`app${"/d".repeat(64)}`) },
  { name: "the environment's directory", code, reason: /not below app\//, make: pathed("venv/bin/python") },
  { name: "the manifest's own name", code, reason: /not below app\//, make: pathed("manifest.json") },
  { name: "the stored configuration's name", code, reason: /not below app\//, make: pathed("config.json") },
  { name: "an area in other letters", code, reason: /not below app\//, make: pathed("App/a.py") },
  { name: "an area as a file", code, reason: /not below app\//, make: pathed("app") },
  { name: "a path twice", code, reason: /not sorted, or twice/, make: pathed("app/a.py", "app/a.py") },
  { name: "paths that are not sorted", code, reason: /not sorted, or twice/, make: pathed("app/b.py", "app/a.py") },
  { name: "a file and a directory of one path", code, reason: /lies below a file/, make: pathed("app/a", "app/a/b") },
  {
    name: "a file and a directory of one path, with others between",
    code,
    reason: /lies below a file/,
    make: pathed("app/a", "app/a-b", "app/a/b/c"),
  },
  {
    name: "a mode with a set-user-id bit",
    code,
    reason: /files\.0\.mode/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { mode: 0o4755 })),
  },
  {
    name: "a mode that all may write",
    code,
    reason: /files\.0\.mode/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { mode: 0o777 })),
  },
  {
    name: "a size below zero",
    code,
    reason: /files\.0\.size/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { size: -1 })),
  },
  {
    name: "a size that is no whole number",
    code,
    reason: /files\.0\.size/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { size: 0.5 })),
  },
  {
    name: "a size of 8 GiB",
    code,
    reason: /files\.0\.size/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { size: 8 * 1024 ** 3 })),
  },
  {
    name: "a sha256 in capitals",
    code,
    reason: /files\.0\.sha256/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { sha256: "A".repeat(64) })),
  },
  {
    name: "a sha256 too short",
    code,
    reason: /files\.0\.sha256/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { sha256: "ab" })),
  },
  {
    name: "a file whose sha256 is another's",
    code: "bundle_altered",
    reason: /app\/a\.py differs from the manifest/,
    make: manifested(({ files: [file] }) => void Object.assign(file!, { sha256: "0".repeat(64) })),
  },
  {
    name: "a file of other content and the same size",
    code: "bundle_altered",
    reason: /app\/a\.py differs from the manifest/,
    make: instead("app/a.py", rawEntry({ name: "app/a.py" }, "a = 2\n")),
  },
  {
    name: "files that the host has no room for",
    code: "bundle_too_large",
    reason: /The bundle's files have/,
    make: manifested(({ files }) => void Object.assign(files[0]!, { size: 0o77777777777 })),
  },
  {
    name: "a manifest that no token names",
    code: "manifest_mismatch",
    reason: /not the one that the token/,
    make: () => ({ ...goodBundle(), digest: manifestDigest(Buffer.from("another")) }),
  },
  {
    name: "a manifest with one byte altered",
    code: "manifest_mismatch",
    reason: /not the one that the token/,
    make: () => {
      const { tar, digest } = goodBundle();
      tar.write("E", tar.indexOf("example/shop"));
      return { body: compress(tar), digest };
    },
  },
  {
    name: "a manifest of another app",
    code: "manifest_mismatch",
    reason: /not the one that the token/,
    make: () => ({ ...goodBundle({ app: "blog" }), digest: goodBundle().digest }),
  },
  {
    name: "padding after the manifest that is not empty",
    code: "bundle_altered",
    reason: /the padding after manifest\.json is not empty/,
    make: () => {
      const bytes = encodeManifest(goodBundle().manifest);
      const filled = Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512, 1)]);
      const raw = Buffer.concat([rawHeader({ name: "manifest.json", size: octal(bytes.length) }), filled]);
      return changed({ changeEntries: ([first, ...rest]) => [{ ...first!, raw }, ...rest] })();
    },
  },
];
