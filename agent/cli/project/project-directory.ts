import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeText } from "../../../shared/decode-text.ts";
import { lazily } from "../../../shared/detect/project-tree.ts";
import type { Project } from "../../../shared/project.ts";

/** The project in a directory of this machine. */
export function projectIn(directory: string): Project {
  return {
    ...lazily(directory),
    exists: (path) => existsSync(join(directory, path)),
    read(path) {
      try {
        return decodeText(readFileSync(join(directory, path)));
      } catch {
        return undefined;
      }
    },
    folders: () =>
      readdirSync(directory, { withFileTypes: true })
        .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
        .toSorted(),
  };
}
