import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The directory for what later runs use again. It is in the project, so that actions/cache can keep it between jobs. */
export const cacheDirectory = ".cutover";

const marker = ".complete";

/** How many directories stay: those of a few branches that are deployed in turns. */
const kept = 4;

/**
 * Builds a directory, unless an earlier run has completed it. An interrupted build has no marker and starts again from
 * nothing.
 */
export async function cached(
  directory: string,
  reuse: boolean,
  build: (directory: string) => Promise<void>,
): Promise<{ reused: boolean }> {
  const reused = reuse && existsSync(join(directory, marker));
  if (!reused) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    await build(directory);
  }
  // Its time says when it was used last.
  await writeFile(join(directory, marker), "");
  await prune(dirname(directory));
  return { reused };
}

/** Removes the directories that were not used for the longest time, and those that were not completed. */
async function prune(parent: string): Promise<void> {
  const usedAt = async (name: string) => (await stat(join(parent, name, marker)).catch(() => undefined))?.mtimeMs ?? 0;
  const all = await Promise.all((await readdir(parent)).map(async (name) => ({ name, used: await usedAt(name) })));
  const old = all.toSorted((a, b) => b.used - a.used).slice(kept);
  await Promise.all(old.map(({ name }) => rm(join(parent, name), { recursive: true, force: true })));
}

/** Nobody must commit the directory by accident. */
export async function hideFromGit(project: string): Promise<void> {
  const directory = join(project, cacheDirectory);
  await mkdir(directory, { recursive: true });
  const file = join(directory, ".gitignore");
  if ((await readFile(file, "utf8").catch(() => "")) !== "*\n") await writeFile(file, "*\n");
}
