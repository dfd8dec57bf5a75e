import { basename } from "node:path";
import { seedFolder } from "../../shared/config-site.ts";
import type { ReadFile } from "../bundle/read-files.ts";
import { openFile } from "../bundle/read-files.ts";
import type { Warning } from "./warning.ts";

/** What a bundle should not hold, by kind. */
interface Kind {
  holds(file: ReadFile): boolean;
  /** @param names of up to five files @param patterns for `exclude` */
  says(names: string, patterns: string, first: string): string;
}

/** How much of a file shows what it is. */
const headBytes = 4096;

const kinds: Kind[] = [
  {
    holds: ({ path }) => isSecretsFile(basename(path)),
    says: (names, patterns) =>
      `Secrets in the bundle, by their names: ${names}. Leave them out with \`exclude: [${patterns}]\`; the hosts have secrets of their own: \`cutover env set\`.`,
  },
  {
    holds: (file) => isKeyFile(file),
    says: (names, patterns) =>
      `Private keys in the bundle: ${names}. Leave them out with \`exclude: [${patterns}]\`, and replace a key that others could read.`,
  },
  {
    holds: (file) => headOf(file, { bytes: 16, names: /\.(?:sqlite3?|db3?)$/i }) === "SQLite format 3\0",
    says: (names, patterns, first) =>
      `Databases in the bundle: ${names}. In a release nobody can write to them. Write \`shared: [{ path: ${first} }]\`, so that what the app writes outlives releases, or \`exclude: [${patterns}]\`.`,
  },
  {
    holds: (file) => file.size < 1024 && headOf(file).startsWith("version https://git-lfs.github.com/spec/"),
    says: (names, patterns) =>
      `Pointers of Git LFS in the bundle, in the place of files: ${names}. Write \`lfs: true\` below \`with:\` of actions/checkout, or \`exclude: [${patterns}]\`.`,
  },
];

/** How many names a warning has. */
const named = 5;

/** One warning for each kind of file that a project packs by mistake, with the `exclude` to write. */
export function suspectFiles(files: ReadFile[]): Warning[] {
  const own = files.filter(({ path }) => !path.startsWith(`app/${seedFolder}/`) && !path.startsWith("wheels/"));
  return kinds.flatMap(({ holds, says }) => {
    const found = own.filter(holds).map(({ path }) => path.replace(/^(?:app|static)\//, ""));
    const [first] = found;
    if (first === undefined) return [];
    const more = found.length > named ? ` and ${found.length - named} more` : "";
    const patterns = found.slice(0, named).map((path) => pattern(path));
    return [{ file: first, message: says(`${found.slice(0, named).join(", ")}${more}`, patterns.join(", "), first) }];
  });
}

/** As YAML and .gitignore take it. */
function pattern(path: string): string {
  const escaped = `/${path.replace(/[\\*?[\]!#]/g, "\\$&")}`;
  return /^[\w./-]+$/.test(escaped) ? escaped : JSON.stringify(escaped);
}

/** Templates hold no values. */
function isSecretsFile(name: string): boolean {
  if (/(?:example|sample|template|dist|defaults?|tmpl|tpl)/i.test(name)) return false;
  return /^(?:\.env(?:\..+|rc)?|.+\.env|\.netrc|\.pypirc|\.pgpass|\.htpasswd|secrets?\.(?:ya?ml|json|toml|ini)|(?:credentials|service[-_]account.*)\.json)$/i.test(
    name,
  );
}

function isKeyFile(file: ReadFile): boolean {
  const name = basename(file.path);
  if (!/^id_(?:rsa|dsa|ecdsa|ed25519)$|\.(?:pem|key|ppk|p12|pfx)$/i.test(name)) return false;
  return (
    /\.(?:p12|pfx)$/i.test(name) ||
    /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----|^PuTTY-User-Key-File/m.test(headOf(file))
  );
}

/**
 * The start of a file.
 * @param names which files are opened for it if their content was not kept
 */
function headOf(file: ReadFile, { bytes = headBytes, names = /(?:)/ } = {}): string {
  if (file.bytes !== undefined) return file.bytes.subarray(0, bytes).toString("latin1");
  if (!names.test(file.path)) return "";
  using opened = openFile(file.source);
  const head = Buffer.alloc(bytes);
  return head.subarray(0, opened.read(head)).toString("latin1");
}
