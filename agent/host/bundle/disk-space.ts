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
 * @throws CutoverError disk_full
 */
export async function assertFits(path: string, needed: number, freeSpace?: FreeSpace): Promise<void> {
  const existing = deepestExisting(path);
  const free = await freeBytes(existing);
  if (needed <= free) return;
  await freeSpace?.({ needed, free });
  const now = await freeBytes(existing);
  if (needed > now) throw diskFull({ needed, free: now });
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

/** The bytes that removing these releases would free: their files, and environments to which no other release links. */
export async function freedBytes(layout: AppLayout, releases: string[]): Promise<number> {
  const gone = new Set(releases);
  const kept = new Set<string>();
  for (const release of await listIfExists(layout.releases)) {
    const key = gone.has(release) ? undefined : await environmentOf(layout, release);
    if (key !== undefined) kept.add(key);
  }
  let bytes = 0;
  for (const release of gone)
    bytes += (await bytesBelow(layout.release(release))) + (await bytesBelow(layout.partial(release)));
  for (const key of await listIfExists(layout.venvs)) if (!kept.has(key)) bytes += await bytesBelow(layout.venv(key));
  return bytes;
}

async function environmentOf(layout: AppLayout, release: string): Promise<string | undefined> {
  const target = await readlink(layout.releaseVenv(release)).catch(() => undefined);
  return target === undefined ? undefined : basename(target);
}

/** As the file system counts them. A file with another hard link frees nothing. 0 if nothing is there. */
async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    const path = join(directory, entry.name);
    const status = await lstat(path).catch(() => undefined);
    if (status === undefined) continue;
    if (entry.isDirectory()) bytes += await bytesBelow(path);
    if (status.nlink === 1 || entry.isDirectory()) bytes += status.blocks * 512;
  }
  return bytes;
}
