import { createHash } from "node:crypto";
import { closeSync, constants, fchmodSync, futimesSync, lstatSync, mkdirSync, openSync, writeSync } from "node:fs";
import type { Manifest, ManifestFile } from "../../../shared/manifest.ts";
import { effectNow } from "../../effects.ts";
import { abortReason } from "../abort-reason.ts";
import type { AppLayout } from "../store/layout.ts";
import { bytecodeName, ObjectStore, objectTime } from "../store/objects.ts";
import { Turns } from "../store/turns.ts";
import type { CompileBytecode } from "./compile.ts";

export interface BytecodeRequest {
  manifest: Manifest;
  layout: AppLayout;
  /** The part of a .pyc file's name that distinguishes interpreters, such as cpython-311. */
  cacheTag: string;
  /** How many compilers may run at once. */
  jobs: number;
  compile: CompileBytecode;
  signal: AbortSignal;
}

/** Sources for one compiler: enough that its start does not count, and little enough for one answer in memory. */
const batch = { files: 500, bytes: 1_500_000 } as const;
const exclusive = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Links a release's bytecode into it, so that the first request need not compile. Bytecode is kept in the store by the digest
 * of its source: it does not depend on the source's path, which the importer puts into the code that it loads. It is not
 * checked against its source when it is loaded, since a release never changes. What the bundle itself has in
 * `__pycache__` stays.
 * @returns how many files were compiled, and how many were there
 */
export async function linkBytecode(request: BytecodeRequest): Promise<{ compiled: number; reused: number }> {
  const { manifest, layout, cacheTag } = request;
  const root = layout.release(manifest.release);
  // A release that root took from an earlier agent has its bytecode already.
  if (lstatSync(root).uid !== process.geteuid?.()) return { compiled: 0, reused: 0 };
  const store = new ObjectStore(layout);
  const linker = new Linker(store, root, cacheTag);
  const turns = new Turns();
  const missing: ManifestFile[] = [];
  let reused = 0;
  for (const file of manifest.files) {
    if (!isSource(file.path)) continue;
    if (await effectNow("object.link", () => linker.link(file), file.path)) reused++;
    else missing.push(file);
    await turns.after();
  }
  const compiled = await compileAll(request, linker, missing);
  return { compiled, reused };
}

/** Compiles each content once, in several processes. */
async function compileAll(request: BytecodeRequest, linker: Linker, missing: ManifestFile[]): Promise<number> {
  const { manifest, compile, jobs, signal } = request;
  const bySource = Map.groupBy(missing, ({ sha256 }) => sha256);
  const batches = batchesOf([...bySource.values()].flatMap(([file]) => file ?? []));
  const compileOne = async (files: ManifestFile[]): Promise<number> => {
    if (signal.aborted) throw abortReason(signal);
    const { version } = manifest.config.python;
    const paths = files.map(({ path }) => path);
    const made = await compile({ app: manifest.app, release: manifest.release, paths, version, signal });
    const compiled = files.flatMap((file, index) => {
      // null: it is no Python of this version. Projects have templates, and code for other Pythons.
      const bytes = made[index] ?? null;
      return bytes === null ? [] : [{ file, bytes }];
    });
    for (const { file, bytes } of compiled) {
      for (const same of bySource.get(file.sha256) ?? []) {
        await effectNow("object.write", () => linker.add(same, bytes, manifest.created), same.path);
      }
    }
    return compiled.length;
  };
  let compiled = 0;
  const work = async () => {
    for (let files = batches.pop(); files !== undefined; files = batches.pop()) compiled += await compileOne(files);
  };
  const workers = Array.from({ length: Math.min(jobs, batches.length) }, () => work().finally(() => batches.splice(0)));
  // All have ended before a failure is told: the release may be removed then.
  const ends = await Promise.allSettled(workers);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return compiled;
}

function batchesOf(files: ManifestFile[]): ManifestFile[][] {
  const batches: ManifestFile[][] = [];
  let last: ManifestFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (last.length > 0 && (last.length >= batch.files || bytes + file.size > batch.bytes)) {
      batches.push(last);
      [last, bytes] = [[], 0];
    }
    last.push(file);
    bytes += file.size;
  }
  if (last.length > 0) batches.push(last);
  return batches;
}

function isSource(path: string): boolean {
  return path.startsWith("app/") && path.endsWith(".py");
}

/** Bytecode files of one release. */
class Linker {
  readonly #store: ObjectStore;
  readonly #root: string;
  readonly #cacheTag: string;
  /** Whether the directories for bytecode are the release's own. */
  readonly #made = new Map<string, boolean>();

  constructor(store: ObjectStore, root: string, cacheTag: string) {
    this.#store = store;
    this.#root = root;
    this.#cacheTag = cacheTag;
  }

  /** @returns false if there is no bytecode of this source yet */
  link({ path, sha256 }: ManifestFile): boolean | Promise<boolean> {
    const name = bytecodeName(sha256, this.#cacheTag);
    const to = this.#place(path);
    if (to === undefined) return true;
    try {
      const linked = this.#store.link(name, to);
      return linked === "impossible" ? this.#store.copy(name, to).then(() => true) : linked === "linked";
    } catch (thrown) {
      return isThere(thrown);
    }
  }

  /** Writes new bytecode, and keeps it for other releases. A file that the bundle has there stays. */
  async add(file: ManifestFile, bytes: Buffer, created: string): Promise<void> {
    if (await this.link(file)) return;
    const to = this.#place(file.path);
    if (to === undefined) return;
    let opened: number;
    try {
      opened = openSync(to, exclusive, 0o444);
    } catch (thrown) {
      isThere(thrown);
      return;
    }
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(opened, bytes, offset);
      fchmodSync(opened, 0o444);
      const time = objectTime(created, file.sha256);
      futimesSync(opened, time, time);
    } finally {
      closeSync(opened);
    }
    this.#store.keep(to, bytecodeName(file.sha256, this.#cacheTag));
  }

  /**
   * @returns undefined if something other than a directory of the release is in the way. `shared` in cutover.yml may make it a
   * link to where the app's user writes: who could put a file of its own there would have it taken for an object.
   */
  #place(source: string): string | undefined {
    const end = source.lastIndexOf("/");
    const directory = `${this.#root}/${source.slice(0, end)}/__pycache__`;
    const known = this.#made.get(directory) ?? isOwnDirectory(directory);
    this.#made.set(directory, known);
    if (!known) return undefined;
    return `${directory}/${source.slice(end + 1, -".py".length)}.${this.#cacheTag}.pyc`;
  }
}

/** Makes it, unless something is there. */
function isOwnDirectory(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) mkdirSync(path, { mode: 0o755 });
  return status === undefined || status.isDirectory();
}

/** @throws the error, if it is another one */
function isThere(thrown: unknown): true {
  if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  return true;
}

/** The bytes that end each bytecode file: the sha256 of those before. Python reads no further than the code. */
export const checksumBytes = 32;

/** Whether a bytecode file is as it was compiled. */
export function isWhole(bytecode: Buffer): boolean {
  const end = bytecode.length - checksumBytes;
  if (end <= 0) return false;
  return createHash("sha256").update(bytecode.subarray(0, end)).digest().equals(bytecode.subarray(end));
}
