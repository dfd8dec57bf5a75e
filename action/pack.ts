import { createHash } from "node:crypto";
import type { Config } from "../shared/config.ts";
import { comparePaths, type Manifest, type ManifestFile } from "../shared/manifest.ts";
import { type Packed, unreadable, writeBundle } from "./bundle-writer.ts";
import { collectedFolders, staticFiles } from "./collect.ts";
import { hashFile, newScratch } from "./file-bytes.ts";
import { alwaysExcluded, type PackFile, walkFiles } from "./project.ts";
import { releaseIdFor } from "./release.ts";

export interface ManifestRequest {
  config: Config;
  files: PackFile[];
  made: Date;
  repository: string;
  commit: string;
}

/** Every file of the bundle: the project, its static files, its wheels. @throws CutoverError as the walk does */
export function listFiles(config: Config, directory: string, wheels: PackFile[]): PackFile[] {
  const exclude = [...alwaysExcluded, ...config.exclude, ...collectedFolders(config)];
  const app = walkFiles({ root: directory, directory, area: "app", exclude });
  return [...app, ...staticFiles(config, directory), ...wheels];
}

/** Hashes the files and writes down what the bundle holds. @throws CutoverError file_changed, path_not_allowed */
export function makeManifest({ config, files, made, repository, commit }: ManifestRequest): Manifest {
  const sorted = files.toSorted((a, b) => comparePaths(a.path, b.path));
  const scratch = newScratch();
  const described = sorted.map((file) => describe(file, scratch));
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

function describe({ path, source, mode }: PackFile, scratch: Buffer): ManifestFile {
  try {
    return { path, mode, ...hashFile(source, scratch) };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

export interface PackRequest {
  config: Config;
  /** The project. */
  directory: string;
  wheels: PackFile[];
  made: Date;
  repository: string;
  commit: string;
  /** Where the bundle goes. */
  into: string;
  signal: AbortSignal;
}

/** A project as it stands, in a bundle: what remains of the Action's work once static files and wheels are there. */
export async function packProject(request: PackRequest): Promise<Packed> {
  const files = listFiles(request.config, request.directory, request.wheels);
  return writeBundle(makeManifest({ ...request, files }), files, request.into, request.signal);
}
