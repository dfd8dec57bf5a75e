import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { lazily } from "../../shared/detect/project-tree.ts";
import type { ProjectFiles } from "../../shared/project-clues.ts";
import { reading } from "./unreadable.ts";

/** A project on this machine. Its functions throw CutoverError path_not_allowed for what cannot be read. */
export function projectFiles(directory: string): ProjectFiles {
  const isFile = (path: string) =>
    reading(path, () => statSync(join(directory, path), { throwIfNoEntry: false }))?.isFile() ?? false;
  return {
    ...lazily(directory),
    exists: isFile,
    read: (path) => (isFile(path) ? reading(path, () => readFileSync(join(directory, path), "utf8")) : undefined),
    folders: () =>
      reading(directory, () => readdirSync(directory, { withFileTypes: true }))
        .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
        .toSorted(),
  };
}
