import { lstat, rename, rm } from "node:fs/promises";
import { effect } from "../../effects.ts";

/**
 * The files of the lines of requests, in a directory where only root can write. nginx writes to `<app>.log`. When that is
 * large enough it becomes `<app>.log.1`, which the agent reads to its end, and nginx begins another one.
 */

/** In bytes. A smaller file is not rotated: so an agent that asks again and again loses nothing. */
export const rotatedSize = 8 * 1024 ** 2;

export function rotatedFile(file: string): string {
  return `${file}.1`;
}

/**
 * Renames a file that is large enough. What was rotated before is gone then.
 * @returns whether nginx must open its logs again: for that, or because somebody has taken the file away
 */
export async function rotateFile(file: string, size = rotatedSize): Promise<boolean> {
  const status = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (status === undefined) return true;
  if (status.size < size) return false;
  await effect("requests.rotate", () => rename(file, rotatedFile(file)));
  return true;
}

/** Removes the files of an app that is removed. */
export async function removeRequestFiles(file: string): Promise<void> {
  for (const path of [file, rotatedFile(file)]) await rm(path, { force: true });
}
