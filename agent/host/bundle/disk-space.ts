import { existsSync } from "node:fs";
import { lstat, readdir, readlink, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import prettyBytes from "pretty-bytes";
import { CutoverError } from "../../../shared/errors.ts";
import type { ManifestFile } from "../../../shared/manifest.ts";
import type { FreeSpace, Shortage } from "../../contracts/ports.ts";
import type { AppLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { bundleUnchanged } from "./bundle-stream.ts";

/** The bytes that files take on a path's file system, which has whole blocks only. */
export async function bytesOnDisk(path: string, files: Pick<ManifestFile, "size">[]): Promise<number> {
  const { bsize } = await statfs(path);
  return files.reduce((sum, { size }) => sum + Math.ceil(size / bsize) * bsize, 0);
}

/**
 * Checks that a path's file system has this many bytes free. If not, it frees space once and checks again: the estimate of
 * what that gives may be wrong.
 * @param path need not exist yet
 * @returns whether it freed space
 * @throws CutoverError disk_full
 */
export async function assertFits(path: string, needed: number, freeSpace?: FreeSpace): Promise<boolean> {
  const existing = deepestExisting(path);
  const free = await freeBytes(existing);
  if (needed <= free) return false;
  await freeSpace?.({ needed, free });
  const now = await freeBytes(existing);
  if (needed > now) throw diskFull({ needed, free: now });
  return true;
}

function diskFull({ needed, free }: Shortage): CutoverError {
  return new CutoverError(
    "disk_full",
    `The release needs ${prettyBytes(needed)} with the reserve; ${prettyBytes(free)} are free.`,
    {
      unchanged: bundleUnchanged,
      fix: "Free disk space on the host, lower `keep` in cutover.yml, or `limits.free` in agent.yml.",
    },
  );
}

/** The app's own directories are created by its first deployment. */
function deepestExisting(path: string): string {
  for (let at = path; ; at = dirname(at)) if (existsSync(at) || at === "/") return at;
}

/** The free bytes on a path's file system, for users other than root. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * The bytes that removing these releases would free: what only they have of the store, and environments to which no other
 * release links.
 */
export async function freedBytes(layout: AppLayout, releases: string[]): Promise<number> {
  const gone = new Set(releases);
  const kept = new Set<string>();
  for (const release of await listIfExists(layout.releases)) {
    const key = gone.has(release) ? undefined : await environmentOf(layout, release);
    if (key !== undefined) kept.add(key);
  }
  const found = new Names();
  for (const release of gone) {
    await found.addBelow(layout.release(release));
    await found.addBelow(layout.partial(release));
  }
  for (const key of await listIfExists(layout.venvs)) if (!kept.has(key)) await found.addBelow(layout.venv(key));
  return found.freed(await inodesBelow(layout.objects, found));
}

async function environmentOf(layout: AppLayout, release: string): Promise<string | undefined> {
  const target = await readlink(layout.releaseVenv(release)).catch(() => undefined);
  return target === undefined ? undefined : basename(target);
}

/** Files that would go, by inode: one of them frees something only if all of its names go. */
class Names {
  readonly #files = new Map<number, { bytes: number; left: number }>();
  #directories = 0;

  async addBelow(directory: string): Promise<void> {
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
      const path = join(directory, entry.name);
      const status = await lstat(path).catch(() => undefined);
      if (status === undefined) continue;
      const { ino, nlink, blocks } = status;
      const file = this.#files.get(ino);
      if (entry.isDirectory()) {
        this.#directories += blocks * 512;
        await this.addBelow(path);
      } else if (file !== undefined) file.left--;
      else this.#files.set(ino, { bytes: blocks * 512, left: nlink - 1 });
    }
  }

  /** Whether an inode has just one name left. */
  hasOneLeft(ino: number): boolean {
    return this.#files.get(ino)?.left === 1;
  }

  /** As the file system counts them. @param collected inodes whose last name is in the store, which goes by itself */
  freed(collected: Set<number>): number {
    let bytes = this.#directories;
    for (const [ino, file] of this.#files) if (file.left === 0 || collected.has(ino)) bytes += file.bytes;
    return bytes;
  }
}

/** The inodes of objects that would be collected. */
async function inodesBelow(objects: string, names: Names): Promise<Set<number>> {
  const found = new Set<number>();
  for (const part of await listIfExists(objects)) {
    for (const name of await readdir(join(objects, part)).catch(() => [])) {
      const { ino } = await lstat(join(objects, part, name)).catch(() => ({ ino: -1 }));
      if (names.hasOneLeft(ino)) found.add(ino);
    }
  }
  return found;
}
