import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What is built once and used by later runs: below the project, so that actions/cache can carry it between jobs. */
export const cacheDirectory = ".cutover";

const marker = ".complete";

/**
 * The directory with this key, built unless an earlier run has completed it. A build that was interrupted has no
 * marker, and is built again from nothing.
 */
export async function cached(
  directory: string,
  reuse: boolean,
  build: (directory: string) => Promise<void>,
): Promise<{ reused: boolean }> {
  if (reuse && existsSync(join(directory, marker))) return { reused: true };
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await build(directory);
  await writeFile(join(directory, marker), "");
  return { reused: false };
}

/** A directory in a repository must not be committed by accident. */
export async function hideFromGit(project: string): Promise<void> {
  const directory = join(project, cacheDirectory);
  await mkdir(directory, { recursive: true });
  const file = join(directory, ".gitignore");
  if ((await readFile(file, "utf8").catch(() => "")) !== "*\n") await writeFile(file, "*\n");
}
