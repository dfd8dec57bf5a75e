import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { decodeText } from "../../shared/decode-text.ts";
import { lazily } from "../../shared/detect/project-tree.ts";
import type { ProjectFiles } from "../../shared/project-files.ts";
import { reading } from "./unreadable.ts";

/** A project on this machine. Its functions throw CutoverError path_not_allowed for what cannot be read. */
export function projectFiles(directory: string, known: Parameters<typeof lazily>[1] = {}): ProjectFiles {
  const stats = (path: string) => reading(path, () => statSync(join(directory, path), { throwIfNoEntry: false }));
  return {
    ...lazily(directory, known),
    exists: (path) => stats(path) !== undefined,
    read: (path) =>
      stats(path)?.isFile() === true ? decodeText(reading(path, () => readFileSync(join(directory, path)))) : undefined,
    folders: () =>
      reading(directory, () => readdirSync(directory, { withFileTypes: true }))
        .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
        .toSorted(),
  };
}
