import { createHash } from "node:crypto";
import type { Config } from "../shared/config.ts";
import { comparePaths, type Manifest } from "../shared/manifest.ts";
import { unreadable } from "./bundle-writer.ts";
import { collectedFolders, staticFiles } from "./collect.ts";
import { type ReadFile, readFiles } from "./file-bytes.ts";
import { alwaysExcluded, type PackFile, walkFiles } from "./project.ts";
import { releaseIdFor } from "./release.ts";

export interface ManifestRequest {
  config: Config;
  /** In the bundle's order. */
  files: ReadFile[];
  made: Date;
  repository: string;
  commit: string;
}

/** Every file of the bundle: the project, its static files, its wheels. @throws CutoverError as the walk does */
export function listFiles(config: Config, directory: string, wheels: PackFile[]): PackFile[] {
  return [...listProject(config, directory), ...staticFiles(config, directory), ...wheels];
}

/** The project's own files, which can be read while others are still being collected. */
export function listProject(config: Config, directory: string): PackFile[] {
  const exclude = [...alwaysExcluded, ...config.exclude, ...collectedFolders(config)];
  return walkFiles({ root: directory, directory, area: "app", exclude });
}

/**
 * Reads what will be packed, in the bundle's order.
 * @param known files that were read before, while static files were collected
 * @throws CutoverError file_changed, path_not_allowed
 */
export function readForBundle(files: PackFile[], known: ReadFile[] = []): ReadFile[] {
  return readFiles(
    files.toSorted((a, b) => comparePaths(a.path, b.path)),
    unreadable,
    known,
  );
}

/** Writes down what the bundle holds. */
export function makeManifest({ config, files, made, repository, commit }: ManifestRequest): Manifest {
  const described = files.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 }));
  const content = createHash("sha256")
    .update(JSON.stringify([config, described]))
    .digest("hex");
  return {
    format: 1,
    app: config.app,
    release: releaseIdFor(made, commit, content),
    repository,
    commit,
    created: made.toISOString(),
    config,
    files: described,
  };
}
