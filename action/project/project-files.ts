import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ProjectFiles } from "../../shared/project-clues.ts";

/** A project on this machine. */
export function projectFiles(directory: string): ProjectFiles {
  const isFile = (path: string) => statSync(join(directory, path), { throwIfNoEntry: false })?.isFile() ?? false;
  return {
    exists: isFile,
    read: (path) => (isFile(path) ? readFileSync(join(directory, path), "utf8") : undefined),
    folders: () =>
      readdirSync(directory, { withFileTypes: true })
        .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
        .toSorted(),
  };
}
