import { createHash } from "node:crypto";
import { getExecOutput } from "@actions/exec";
import type { Config } from "../../shared/config.ts";
import { comparePaths, type Manifest } from "../../shared/manifest.ts";
import { newReleaseId } from "../../shared/names.ts";
import { collectedFolders, staticFiles } from "../project/collectstatic.ts";
import { alwaysExcluded, type PackFile, walkFiles } from "../project/walk.ts";
import { unreadable } from "./bundle-writer.ts";
import { type ReadFile, readFiles } from "./read-files.ts";

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

/** The project's own files. They can be read while static files are still being collected. */
export function listProject(config: Config, directory: string): PackFile[] {
  const exclude = [...alwaysExcluded, ...config.exclude, ...collectedFolders(config)];
  return walkFiles({ root: directory, directory, area: "app", exclude });
}

/**
 * Reads what will be packed, in the bundle's order.
 * @param known files that were read before; they are read again only if they changed
 * @throws CutoverError file_changed, path_not_allowed
 */
export function readForBundle(files: PackFile[], known: ReadFile[] = []): ReadFile[] {
  return readFiles(
    files.toSorted((a, b) => comparePaths(a.path, b.path)),
    unreadable,
    known,
  );
}

/** Describes what the bundle contains. */
export function makeManifest({ config, files, made, repository, commit }: ManifestRequest): Manifest {
  const described = files.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 }));
  const content = createHash("sha256")
    .update(JSON.stringify([config, described]))
    .digest("hex");
  return {
    format: 1,
    app: config.app,
    // Without a commit, a hash of the content takes its place.
    release: newReleaseId(made, commit === "" ? content : commit),
    repository,
    commit,
    created: made.toISOString(),
    config,
    files: described,
  };
}

const commitPattern = /^[0-9a-f]{40}$/;

/** The commit that is packed: GITHUB_SHA, or what git says of the project; empty if neither knows one. */
export async function findCommit(directory: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (commitPattern.test(env.GITHUB_SHA ?? "")) return env.GITHUB_SHA ?? "";
  try {
    const options = { cwd: directory, silent: true, ignoreReturnCode: true };
    const { exitCode, stdout } = await getExecOutput("git", ["rev-parse", "--verify", "HEAD"], options);
    return exitCode === 0 && commitPattern.test(stdout.trim()) ? stdout.trim() : "";
  } catch {
    // There is no git on this runner.
    return "";
  }
}

/** When the release is made: SOURCE_DATE_EPOCH (seconds) if it is set, for reproducible builds, or now. */
export function releaseTime(env: NodeJS.ProcessEnv, now: number): Date {
  const epoch = env.SOURCE_DATE_EPOCH ?? "";
  return new Date(/^\d{1,12}$/.test(epoch) ? Number(epoch) * 1000 : now);
}
