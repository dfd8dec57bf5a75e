import { z } from "zod";
import { ListReader } from "./json-list.ts";
import {
  encodeManifest,
  type Manifest,
  type ManifestFile,
  manifestDigest,
  manifestLimits,
  piecesOf,
} from "./manifest.ts";
import { digest } from "./names.ts";
import { parsePlainJson } from "./plain-json.ts";

/**
 * A manifest as what changed against that of a release which the host has. It travels in the place of manifest.json. The
 * host puts the whole together and checks its digest, so a delta can choose nothing: what it gives is what the token
 * signed, or is refused.
 */
export const manifestDeltaName = "manifest.delta.json";

/** In bytes. A longer one is not made: the whole manifest is sent then. */
export const longestDelta = 8 * 1024 * 1024;

/** Files of the base: the index of the first, and how many. */
type Run = [first: number, count: number];

const deltaSchema = z.strictObject({
  format: z.literal(1),
  /** The digest of the manifest that it is about. */
  base: digest,
  /** Of the manifest that it gives. */
  digest,
  /** The text of the manifest up to its list of files. */
  head: z.string(),
  /** In their order: runs of the base's files, and new ones. They are read one by one. */
  files: z.tuple([]),
});
type Delta = Omit<z.output<typeof deltaSchema>, "files"> & { files: (Run | ManifestFile)[] };

/** In bytes, and in brackets within each other. The head is a manifest's, as a string. */
const listLimits = { outside: 2 * 1024 * 1024, value: 8 * 1024, depth: 4 } as const;

/** Its files with their digest, or with the first characters of it: what differs after them has another digest as a whole. */
export interface DeltaBase {
  digest: string;
  files: readonly ManifestFile[];
}

/** @returns undefined if it would be too long, or if the manifest does not end with its files */
export function makeManifestDelta(manifest: Manifest, base: DeltaBase): Buffer | undefined {
  const head = encodeManifest({ ...manifest, files: [] }).toString("utf8");
  if (!head.endsWith(emptyEnd)) return undefined;
  const delta: Delta = {
    format: 1,
    base: base.digest,
    digest: manifestDigest(encodeManifest(manifest)),
    head: head.slice(0, -emptyEnd.length),
    files: changes(manifest.files, base.files),
  };
  const bytes = Buffer.from(`${JSON.stringify(delta)}\n`);
  return bytes.length > longestDelta ? undefined : bytes;
}

const emptyEnd = "]}\n";

function changes(files: readonly ManifestFile[], before: readonly ManifestFile[]): Delta["files"] {
  const at = new Map(before.map(({ path }, index) => [path, index]));
  const list: Delta["files"] = [];
  let run: Run | undefined;
  for (const file of files) {
    const index = at.get(file.path);
    const old = index === undefined ? undefined : before[index];
    if (index === undefined || old === undefined || !isSame(file, old)) {
      run = undefined;
      list.push(file);
    } else if (run !== undefined && run[0] + run[1] === index) {
      run[1]++;
    } else {
      run = [index, 1];
      list.push(run);
    }
  }
  return list;
}

function isSame(file: ManifestFile, old: ManifestFile): boolean {
  return file.mode === old.mode && file.size === old.size && file.sha256.startsWith(old.sha256);
}

/**
 * The whole manifest.json. Nothing is built that is larger than a manifest may be.
 * @throws Error that says why it does not give the manifest that it names
 */
export function applyManifestDelta(bytes: Uint8Array, base: DeltaBase): Buffer {
  const delta = readDelta(bytes);
  if (delta.base !== base.digest) throw new Error("it is about another manifest");
  const texts = new Array<string>(base.files.length);
  const parts: string[] = [];
  let size = Buffer.byteLength(delta.head);
  const add = (text: string) => {
    // Before the next part is kept: a few bytes may name the base's files again and again.
    size += Buffer.byteLength(text) + 1;
    if (size > manifestLimits.bytes || parts.length >= manifestLimits.files) throw new Error("it gives too much");
    parts.push(text);
  };
  for (const change of delta.changes) {
    if (!isRun(change)) {
      // What else it may be is for whoever reads the whole manifest.
      if (typeof change !== "object" || change === null || Array.isArray(change))
        throw new Error("it has no such file");
      add(JSON.stringify(change));
      continue;
    }
    const [first, count] = change;
    if (first + count > base.files.length) throw new Error("it names files that the base does not have");
    for (let index = first; index < first + count; index++) {
      texts[index] ??= JSON.stringify(base.files[index]);
      add(texts[index] ?? "");
    }
  }
  const whole = Buffer.from(`${delta.head}${parts.join(",")}${emptyEnd}`);
  if (manifestDigest(whole) !== delta.digest) throw new Error("what it gives has another digest than it says");
  return whole;
}

/** The list of changes is never one string, as that of a manifest's files is not. */
function readDelta(bytes: Uint8Array): z.output<typeof deltaSchema> & { changes: unknown[] } {
  const list = new ListReader("files", listLimits);
  const changes: unknown[] = [];
  for (const piece of piecesOf(bytes)) {
    for (const change of parsePlainJson(`[${list.push(piece)}]`) as unknown[]) {
      if (changes.length === manifestLimits.files) throw new Error("it has too many changes");
      changes.push(change);
    }
  }
  const text = list.end();
  if (!text.endsWith("\n")) throw new Error("its last byte is not a newline");
  return { ...deltaSchema.parse(parsePlainJson(text.slice(0, -1))), changes };
}

function isRun(change: unknown): change is Run {
  if (!Array.isArray(change) || change.length !== 2) return false;
  const [first, count] = change as unknown[];
  return Number.isSafeInteger(first) && Number.isSafeInteger(count) && Number(first) >= 0 && Number(count) >= 1;
}
