import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The directory for what later runs use again. It is in the project, so that actions/cache can keep it between jobs. */
export const cacheDirectory = ".cutover";

const marker = ".complete";

/**
 * Builds a directory, unless an earlier run has completed it. An interrupted build has no marker and starts again from
 * nothing.
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

/** Nobody must commit the directory by accident. */
export async function hideFromGit(project: string): Promise<void> {
  const directory = join(project, cacheDirectory);
  await mkdir(directory, { recursive: true });
  const file = join(directory, ".gitignore");
  if ((await readFile(file, "utf8").catch(() => "")) !== "*\n") await writeFile(file, "*\n");
}
