import { createHash } from "node:crypto";
import { getExecOutput } from "@actions/exec";
import type { Config } from "../../shared/config.ts";
import { linkedPaths, seedFolder } from "../../shared/config-site.ts";
import { CutoverError } from "../../shared/errors.ts";
import { comparePaths, type Manifest, treeFaults } from "../../shared/manifest.ts";
import { newReleaseId } from "../../shared/names.ts";
import { collectedFolders, staticFiles } from "../project/collectstatic.ts";
import { unreadable } from "../project/unreadable.ts";
import { alwaysExcluded, type PackFile, walkFiles } from "../project/walk.ts";
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
  const files = [...listProject(config, directory), ...staticFiles(config, directory), ...wheels];
  refuseClashes(files);
  return files;
}

/**
 * Refuses what the agent would refuse after the upload: a file and a folder of one name, which come from two entries of
 * `static`, or too many folders.
 */
function refuseClashes(files: PackFile[]): void {
  const paths = files.map(({ path }) => path).toSorted(comparePaths);
  const [fault] = treeFaults(paths);
  if (fault === undefined) return;
  const { path, message, below } = fault;
  const what = below === undefined ? message : `there is a file ${below} too`;
  throw new CutoverError("path_not_allowed", `${path} cannot be packed: ${what}.`, {
    unchanged: "Nothing was sent.",
    fix: "Rename one of them, or leave one out: with `exclude` in cutover.yml, or with another `url` in `static`.",
  });
}

/** The project's own files. They can be read while static files are still being collected. */
export function listProject(config: Config, directory: string): PackFile[] {
  const exclude = [...alwaysExcluded, ...config.exclude, ...collectedFolders(config)];
  return walkFiles({ root: directory, directory, area: "app", exclude }).map((file) => seedOf(file, config) ?? file);
}

/** What is a link on the host travels where the link does not cover it: the app's shared directory starts with it. */
function seedOf(file: PackFile, { shared }: Config): PackFile | undefined {
  for (const { path, place } of linkedPaths(shared)) {
    const linked = `app/${path}`;
    if (file.path !== linked && !file.path.startsWith(`${linked}/`)) continue;
    return { ...file, path: `app/${seedFolder}/${place}${file.path.slice(linked.length)}` };
  }
  return undefined;
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

/**
 * The commit that is packed: what git says of the project, since a workflow may check out another commit than the one
 * that started it. Without git or a checkout it is GITHUB_SHA; empty if that is not set either.
 */
export async function findCommit(directory: string, env: NodeJS.ProcessEnv): Promise<string> {
  const started = commitPattern.test(env.GITHUB_SHA ?? "") ? (env.GITHUB_SHA ?? "") : "";
  try {
    const options = { cwd: directory, silent: true, ignoreReturnCode: true };
    // In a container the checkout belongs to another user, which git would refuse. This only reads the commit.
    const words = ["-c", "safe.directory=*", "rev-parse", "--verify", "HEAD"];
    const { exitCode, stdout } = await getExecOutput("git", words, options);
    return exitCode === 0 && commitPattern.test(stdout.trim()) ? stdout.trim() : started;
  } catch {
    // There is no git on this runner.
    return started;
  }
}

/** When the release is made: SOURCE_DATE_EPOCH (seconds) if it is set, for reproducible builds, or now. */
export function releaseTime(env: NodeJS.ProcessEnv, now: number): Date {
  const epoch = env.SOURCE_DATE_EPOCH ?? "";
  return new Date(/^\d{1,12}$/.test(epoch) ? Number(epoch) * 1000 : now);
}
