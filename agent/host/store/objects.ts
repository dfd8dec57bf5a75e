import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { chmod, copyFile, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { effectNow } from "../../effects.ts";
import { syncDirectory } from "./durable.ts";
import type { AppLayout } from "./layout.ts";
import { Turns } from "./turns.ts";

/** The name of a file's object below `objects/`. A file's mode belongs to its inode, so the same bytes may be two objects. */
export function objectName({ sha256, mode }: { sha256: string; mode: number }): string {
  return `${sha256.slice(0, 2)}/${sha256.slice(2)}${mode === 0o755 ? "x" : ""}`;
}

/** The name of a Python source's bytecode, for one interpreter. */
export function bytecodeName(sha256: string, cacheTag: string): string {
  return `${sha256.slice(0, 2)}/${sha256.slice(2)}.${cacheTag}.pyc`;
}

const secondsOfDay = 86_400;

/**
 * The time of an object: that of the bundle that first brought it, minus seconds that depend on the content. nginx makes its
 * ETag from time and size, and files of one bundle that exchange their contents must not keep their ETags.
 * @param created in ISO 8601
 */
export function objectTime(created: string, sha256: string): Date {
  const seconds = Number.parseInt(sha256.slice(0, 8), 16) % secondsOfDay;
  return new Date(Date.parse(created) - seconds * 1000);
}

/** `impossible`: the two are on different file systems, the file has too many names, or there are no links at all. */
export type Linked = "linked" | "missing" | "impossible";

const noLinks = ["EXDEV", "EMLINK", "EPERM"];
/** The file stays the only one of its content. EEXIST: another release was unpacked meanwhile. */
const notKept = [...noLinks, "EEXIST"];

/**
 * The files of an app's releases, each once, by the sha256 of its content. Only the agent can reach the directory, and never
 * changes an object. Releases hold further names (hard links) of objects; one with no other name is unused. Whoever holds
 * the app's lock is the only one who changes the store.
 */
export class ObjectStore {
  readonly #layout: AppLayout;
  /** The directories of objects that are there. */
  readonly #parts = new Set<string>();
  readonly #kept = new Set<string>();
  /** At an app's first deploy nothing is in the store but what was kept: then the file system need not be asked. */
  readonly #fresh: boolean;
  #marked = false;

  constructor(layout: AppLayout) {
    this.#layout = layout;
    mkdirSync(layout.objects, { recursive: true, mode: 0o700 });
    chmodSync(layout.objects, 0o700);
    this.#fresh = partsOf(layout).length === 0;
  }

  has(name: string): boolean {
    return this.#fresh ? this.#kept.has(name) : existsSync(this.#pathOf(name));
  }

  /** Before the first object of a release is written: what exists from now on may be torn after a power cut. */
  async begin(): Promise<void> {
    if (existsSync(this.#layout.unsynced)) return;
    writeFileSync(this.#layout.unsynced, "");
    this.#marked = true;
    await syncDirectory(this.#layout.objects);
  }

  /**
   * Gives an object another name, in a release. An object that somebody has edited by hand, in whatever release, loses its
   * name: the edit must not come into other releases.
   * @param size of the content, in bytes; any unless given
   */
  link(name: string, path: string, size?: number): Linked {
    if (this.#fresh && !this.#kept.has(name)) return "missing";
    const object = this.#pathOf(name);
    const status = lstatSync(object, { throwIfNoEntry: false });
    if (status === undefined) return "missing";
    if (isEdited(status) || (size !== undefined && status.size !== size)) {
      unlinkSync(object);
      return "missing";
    }
    try {
      linkSync(object, path);
      return "linked";
    } catch (thrown) {
      if (noLinks.includes((thrown as NodeJS.ErrnoException).code ?? "")) return "impossible";
      throw thrown;
    }
  }

  /** Where no link is possible: a file of its own, with the object's mode and time. */
  async copy(name: string, path: string): Promise<void> {
    const object = this.#pathOf(name);
    await copyFile(object, path);
    const { mode, mtime } = await stat(object);
    await chmod(path, mode);
    await utimes(path, mtime, mtime);
  }

  /** Makes an object of a finished file of a release. Where no link is possible, the file stays the only one. */
  keep(path: string, name: string): void {
    const part = name.slice(0, 2);
    if (!this.#parts.has(part)) mkdirSync(this.#pathOf(part), { recursive: true, mode: 0o700 });
    this.#parts.add(part);
    try {
      linkSync(path, this.#pathOf(name));
    } catch (thrown) {
      if (notKept.includes((thrown as NodeJS.ErrnoException).code ?? "")) return;
      throw thrown;
    }
    this.#kept.add(name);
  }

  /** Takes back what was kept, unless a release has it. */
  drop(): void {
    for (const name of this.#kept) if (isUnused(this.#pathOf(name))) unlinkSync(this.#pathOf(name));
    for (const part of this.#parts) if (isEmpty(this.#pathOf(part))) rmdirSync(this.#pathOf(part));
    const left = [...this.#kept].some((name) => existsSync(this.#pathOf(name)));
    if (this.#marked && !left) markSynced(this.#layout);
  }

  #pathOf(name: string): string {
    return `${this.#layout.objects}/${name}`;
  }
}

/** Removes the objects that no release has. Only the holder of the app's lock may call it, and not while a release is unpacked. */
export async function collectObjects(layout: AppLayout): Promise<void> {
  const turns = new Turns();
  for (const part of existsSync(layout.objects) ? partsOf(layout) : []) {
    const directory = join(layout.objects, part);
    for (const name of readdirSync(directory)) {
      const object = join(directory, name);
      if (isUnused(object)) effectNow("object.collect", () => rmSync(object, { force: true }), object);
      await turns.after();
    }
    if (isEmpty(directory)) rmdirSync(directory);
  }
}

/** Removes what a deployment left that did not come to its `sync`: a power cut may have torn it. */
export async function collectUnsynced(layout: AppLayout): Promise<void> {
  if (existsSync(layout.unsynced)) await collectObjects(layout);
}

/** All objects are on disk. */
export function markSynced(layout: AppLayout): void {
  if (existsSync(layout.unsynced)) rmSync(layout.unsynced, { force: true });
}

/** The paths of all objects, below `objects/`. */
export function* objectNames(layout: AppLayout): Generator<string> {
  for (const part of existsSync(layout.objects) ? partsOf(layout) : []) {
    for (const name of readdirSync(join(layout.objects, part))) yield `${part}/${name}`;
  }
}

/** The times of objects are whole milliseconds. Whoever writes to a file gives it one of the host's clock, which is finer. */
function isEdited({ mtimeMs }: Stats): boolean {
  return !Number.isInteger(mtimeMs);
}

function partsOf({ objects }: AppLayout): string[] {
  return readdirSync(objects).filter((name) => /^[0-9a-f]{2}$/.test(name));
}

function isUnused(object: string): boolean {
  return lstatSync(object, { throwIfNoEntry: false })?.nlink === 1;
}

function isEmpty(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).length === 0;
}
