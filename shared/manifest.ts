import { createHash } from "node:crypto";
import { z } from "zod";
import { configSchema } from "./config.ts";
import { CutoverError } from "./errors.ts";
import { ListReader } from "./json-list.ts";
import { appName, releaseId } from "./names.ts";
import { parsePlainJson } from "./plain-json.ts";

export const manifestName = "manifest.json";

export const manifestLimits = {
  files: 200_000,
  directories: 200_000,
  bytes: 64 * 1024 * 1024,
  depth: 64,
  part: 255,
  path: 1024,
  /** Bytes of one file: what eleven octal digits of a tar header hold. */
  file: 0o77777777777,
} as const;

/** In bytes. Texts of larger pieces would not be collected with what is young, but only with all the rest. */
const listLimits = { outside: 1024 * 1024, value: 8 * 1024, depth: 16 } as const;
const pieceSize = 16 * 1024;

/** The areas of a bundle: the project, its collected static files by URL path, its vendored wheels. */
export const areas = ["app", "static", "wheels"] as const;

/** Says what is wrong with a bundle path, or undefined when it obeys the grammar. Lengths are in UTF-8 bytes. */
export function pathFault(path: string): string | undefined {
  if (isLonger(path, manifestLimits.path)) return `longer than ${manifestLimits.path} bytes`;
  if (!path.isWellFormed()) return "not valid Unicode";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (/[\u0000-\u001f\u007f-\u009f\\]/.test(path)) return "has a backslash or a control character";
  const parts = path.split("/");
  if (parts.length > manifestLimits.depth) return `deeper than ${manifestLimits.depth}`;
  if (parts.length < 2 || !areas.some((area) => area === parts[0])) return `not below ${areas.join("/, ")}/`;
  for (const part of parts) {
    if (part === "" || part === "." || part === "..") return "has an empty, . or .. part";
    if (isLonger(part, manifestLimits.part)) return `has a part longer than ${manifestLimits.part} bytes`;
  }
  return undefined;
}

/** Counts bytes only if it must: a character has at most three for each of its UTF-16 units. */
function isLonger(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && Buffer.byteLength(text) > bytes;
}

const bundlePath = z.string().superRefine((path, context) => {
  const fault = pathFault(path);
  if (fault !== undefined) context.addIssue({ code: "custom", message: `path ${fault}` });
});

const hexDigest = /^[0-9a-f]{64}$/;

const manifestFile = z.strictObject({
  path: bundlePath,
  mode: z.union([z.literal(0o644), z.literal(0o755)]),
  size: z.int().min(0).max(manifestLimits.file),
  sha256: z.string().regex(hexDigest),
});

/** Reading stops after this many: a list of wrong entries could make hundreds of megabytes of faults. */
const faultLimit = 10;

export interface TreeFault {
  /** Of the path in the list. */
  index: number;
  path: string;
  message: string;
  /** The file that the path lies below. */
  below?: string;
}

/** What is wrong with paths together, in the bundle's order: wrong order, a file below a file, too many directories. */
export function* treeFaults(paths: string[]): Generator<TreeFault> {
  const directories = new Set<string>();
  for (const [index, path] of paths.entries()) {
    const before = paths[index - 1];
    if (before !== undefined && comparePaths(before, path) >= 0) yield { index, path, message: "not sorted, or twice" };
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const directory = path.slice(0, end);
      if (directories.has(directory)) break;
      directories.add(directory);
      if (hasBefore(paths, index, directory)) yield { index, path, message: "lies below a file", below: directory };
    }
    if (directories.size > manifestLimits.directories) {
      yield { index, path, message: `more than ${manifestLimits.directories} directories` };
      return;
    }
  }
}

/** Whether a path is among the first `end` of a sorted list. Without a set of all paths, which would need megabytes. */
function hasBefore(paths: string[], end: number, path: string): boolean {
  for (let [first, last] = [0, end - 1]; first <= last; ) {
    const middle = (first + last) >> 1;
    const order = comparePaths(paths[middle] ?? "", path);
    if (order === 0) return true;
    if (order < 0) first = middle + 1;
    else last = middle - 1;
  }
  return false;
}

/** All but the files, which are read one by one. */
const manifestHead = z.strictObject({
  format: z.literal(1),
  app: appName,
  release: releaseId,
  /** owner/name on GitHub; empty for a bundle that no workflow made. */
  repository: z.string().max(200),
  /** 40 hex digits, or empty if the project is not a git checkout. */
  commit: z.string().regex(/^(?:[0-9a-f]{40})?$/),
  created: z.iso.datetime(),
  config: configSchema,
  files: z.tuple([]),
});

export type ManifestFile = z.output<typeof manifestFile>;
export type Manifest = Omit<z.output<typeof manifestHead>, "files"> & { files: ManifestFile[] };

/**
 * What a thin bundle leaves out: the files that its base's manifest has too, with the same path, mode, size and sha256.
 * Both sides use this rule, so for a manifest and a base there is exactly one archive. The sender may know only the first
 * digits of the base's sha256: see `shortSha256`.
 */
export function leftOutOver(base: readonly ManifestFile[]): (file: ManifestFile) => boolean {
  const before = new Map(base.map((file) => [file.path, file]));
  return ({ path, mode, size, sha256 }) => {
    const same = before.get(path);
    return same !== undefined && sha256.startsWith(same.sha256) && same.size === size && same.mode === mode;
  };
}

/** The order of a bundle's files: by UTF-8 bytes, the same in every locale. */
export function comparePaths(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === end) return a.length - b.length;
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
  // UTF-16 sorts differently only from the surrogates on. Below them no bytes need to be made: a sort compares tens of
  // thousands of times.
  return x < firstSurrogate && y < firstSurrogate ? x - y : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const firstSurrogate = 0xd800;

export function encodeManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest)}\n`);
}

/** `sha256:` and 64 hex digits, of the exact bytes of manifest.json. This is what a token signs. */
export function manifestDigest(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/**
 * Reads a manifest as its bytes come, and checks it. The files are parsed some at a time, and compared with what JSON.stringify
 * would write: a large manifest is never one string, nor whole in memory.
 */
export class ManifestParser {
  readonly #list = new ListReader("files", listLimits);
  readonly #files: ManifestFile[] = [];
  readonly #faults: string[] = [];
  #size = 0;

  /**
   * Bytes that came; of a path with a character beyond Latin-1 two for each character, as it has in memory. So one such
   * character in each path does not make twice of a limit.
   */
  get size(): number {
    return this.#size;
  }

  /** @throws CutoverError manifest_invalid */
  push(bytes: Uint8Array): void {
    this.#size += bytes.length;
    try {
      for (const piece of piecesOf(bytes)) this.#take(this.#list.push(piece));
    } catch (thrown) {
      throw thrown instanceof CutoverError ? thrown : unreadable(thrown as Error);
    }
  }

  /** @throws CutoverError manifest_invalid, naming the first ten faults */
  end(): Manifest {
    const { data, error } = manifestHead.safeParse(this.#head());
    if (data === undefined) throw invalid(error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
    if (this.#faults.length === 0) {
      for (const { index, message } of treeFaults(this.#files.map(({ path }) => path))) {
        this.#faults.push(`files.${index}.path: ${message}`);
        if (this.#faults.length >= faultLimit) break;
      }
    }
    if (this.#faults.length > 0) throw invalid(this.#faults);
    return { ...data, files: this.#files };
  }

  /** All but the files. */
  #head(): unknown {
    try {
      const text = this.#list.end();
      const value = parsePlainJson(text.replace(/\n$/, ""));
      if (!text.endsWith("\n")) throw new Error("its last byte is not a newline");
      return value;
    } catch (thrown) {
      throw unreadable(thrown as Error);
    }
  }

  #take(values: string): void {
    if (values === "") return;
    for (const entry of parsePlainJson(`[${values}]`) as unknown[]) {
      const index = this.#files.length;
      if (index === manifestLimits.files) throw invalid([`files: more than ${manifestLimits.files}`]);
      const file = isFile(entry) ? entry : this.#checked(entry, index);
      this.#files.push(file);
      if (beyondLatin1.test(file.path)) this.#size += 2 * file.path.length - Buffer.byteLength(file.path);
    }
  }

  #checked(entry: unknown, index: number): ManifestFile {
    const { data, error } = manifestFile.safeParse(entry);
    for (const { path, message } of error?.issues ?? []) {
      this.#faults.push(`${["files", index, ...path].join(".")}: ${message}`);
    }
    if (this.#faults.length >= faultLimit) throw invalid(this.#faults);
    return data ?? noFile;
  }
}

const beyondLatin1 = /[\u0100-\uffff]/;

/** Stands for an entry with faults, so that the others keep their places. */
const noFile: ManifestFile = { path: "", mode: 0o644, size: 0, sha256: "" };

/** If true, the schema takes the entry as it is. It has a tenth of the schema's cost, which counts for 100,000 files. */
export function isFile(entry: unknown): entry is ManifestFile {
  if (typeof entry !== "object" || entry === null || Object.keys(entry).length !== 4) return false;
  const { path, mode, size, sha256 } = entry as Record<string, unknown>;
  return (
    (mode === 0o644 || mode === 0o755) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    (size as number) <= manifestLimits.file &&
    typeof sha256 === "string" &&
    hexDigest.test(sha256) &&
    typeof path === "string" &&
    pathFault(path) === undefined
  );
}

/** @throws CutoverError manifest_invalid, naming the first ten faults */
export function parseManifest(bytes: Uint8Array): Manifest {
  const parser = new ManifestParser();
  parser.push(bytes);
  return parser.end();
}

/** The files of a manifest that was checked before, for example when it was written. @throws Error if it is no manifest */
export function* manifestFiles(bytes: Uint8Array): Generator<ManifestFile> {
  const list = new ListReader("files", listLimits);
  for (const piece of piecesOf(bytes)) yield* JSON.parse(`[${list.push(piece)}]`) as ManifestFile[];
  // A list that is torn, or that is missing, must not count as a short one.
  if (!Array.isArray((JSON.parse(list.end()) as Manifest | null)?.files)) throw new Error("it has no list of files");
}

/** Pieces of a size that is parsed at once. They share the memory of the whole. */
export function* piecesOf(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceSize) {
    yield Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(pieceSize, bytes.length - at));
  }
}

function invalid(faults: string[]): CutoverError {
  const first = faults.slice(0, faultLimit).map((fault) => fault.slice(0, 300));
  return new CutoverError("manifest_invalid", `manifest.json does not obey the format: ${first.join("; ")}`, {
    unchanged: "Nothing was changed.",
    fix: "Deploy with an Action and an agent of the same major version.",
  });
}

function unreadable(cause: Error): CutoverError {
  return new CutoverError("manifest_invalid", `manifest.json cannot be read: ${cause.message}.`, {
    unchanged: "Nothing was changed.",
    fix: "Pack the bundle again with the Action.",
    cause,
  });
}
