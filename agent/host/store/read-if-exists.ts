import { readdir, readFile } from "node:fs/promises";

/** A file's text; undefined if there is no file. */
export async function readIfExists(path: string): Promise<string | undefined> {
  return unlessMissing(readFile(path, "utf8"));
}

/** The names in a directory; empty if there is no directory. */
export async function listIfExists(path: string): Promise<string[]> {
  return (await unlessMissing(readdir(path))) ?? [];
}

async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
