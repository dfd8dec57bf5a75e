import { lstat, readdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AppLayout } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";

/** What removing these releases would give in bytes: their files, and environments to which no other release has a link. */
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

/** As the file system counts them; what has another name elsewhere gives nothing. 0 where nothing is there. */
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
