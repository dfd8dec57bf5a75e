import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { projectIn } from "../../../agent/cli/project/project-directory.ts";
import type { ProjectFiles } from "../../../shared/project-clues.ts";

/** A project on disk, which goes with the test: Python itself reads it. */
export function projectOf(texts: Record<string, string>): ProjectFiles {
  return projectIn(directoryOf(texts));
}

export function directoryOf(texts: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "detect-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}
