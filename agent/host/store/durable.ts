import { lstatSync } from "node:fs";
import { open, rename, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { effect } from "../../effects.ts";

/** Syncs a directory. After this, files that were created in it or renamed into it survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await effect(
    "durable.sync-directory",
    async () => {
      const directory = await open(path, "r");
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    },
    path,
  );
}

/**
 * Writes a file so that it holds the old text or the new one at any moment, also after a power cut. One writer at a time: the
 * temporary file has a fixed name, so that crashes do not leave more and more files.
 */
export async function writeDurably(path: string, text: string | Buffer, mode: number): Promise<void> {
  const temporary = `${path}.tmp`;
  await removeUnfinished(path);
  try {
    const file = await effect("durable.create", () => open(temporary, "wx", mode), path);
    try {
      await file.chmod(mode);
      await effect("durable.write", () => file.writeFile(text), path);
      await effect("durable.sync", () => file.sync(), path);
    } finally {
      await file.close();
    }
    await effect("durable.rename", () => rename(temporary, path), path);
  } catch (thrown) {
    await removeUnfinished(path);
    throw thrown;
  }
  await syncDirectory(dirname(path));
}

/** Removes what a killed agent left of a write. Only call it while nobody writes the file. */
export async function removeUnfinished(path: string): Promise<void> {
  const temporary = `${path}.tmp`;
  if (lstatSync(temporary, { throwIfNoEntry: false }) === undefined) return;
  await effect("durable.clear", () => rm(temporary, { force: true }), path);
}

/** Points a symlink at a target by one rename, so that the link exists at any moment. One writer at a time. */
export async function pointSymlink(path: string, target: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await removeUnfinished(path);
  await effect("durable.symlink", () => symlink(target, temporary), path);
  await effect("durable.link", () => rename(temporary, path), path);
}
