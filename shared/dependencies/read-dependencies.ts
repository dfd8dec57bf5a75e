import { posix } from "node:path";
import { ownMetadata } from "../detect/own-metadata.ts";
import type { ProjectFiles } from "../project-files.ts";
import { type DependencyForm, type DependencySource, parseSource } from "./form.ts";
import type { LockReading, Selection } from "./lock.ts";
import { readPdmLock } from "./pdm-lock.ts";
import { readPipfile } from "./pipfile.ts";
import { readPipfileLock } from "./pipfile-lock.ts";
import { readPoetryLock } from "./poetry-lock.ts";
import { readPylock } from "./pylock.ts";
import { type Pyproject, readPyproject } from "./pyproject.ts";
import { type Dependencies, extrasOf, type Requirement } from "./requirement.ts";
import { readUvLock } from "./uv-lock.ts";
import { requirementsInvalid } from "./values.ts";

/**
 * What a project needs, by the file that `python.requirements` names; undefined for a requirements file, which pip reads
 * itself. Runs nothing.
 * @throws CutoverError requirements_invalid
 */
export function readDependencies(project: ProjectFiles, given: string): Dependencies | undefined {
  const source = parseSource(given);
  switch (source.form) {
    case "requirements":
      return undefined;
    case "conda":
      throw condaRefused(source.file);
    case "setup":
      return { file: source.file, locked: false, requirements: [itself(source)], indexes: [], warnings: [] };
    case "pipfile":
      return readPipfile(contentOf(project, source.file), source);
    case "pyproject":
      return unlocked(project, source);
    default:
      return locked(project, source, lockReaders[source.form]);
  }
}

type LockReader = (content: string, file: string, selection: Selection) => LockReading;

const lockReaders: Record<
  Exclude<DependencyForm, "requirements" | "conda" | "setup" | "pipfile" | "pyproject">,
  LockReader
> = {
  uv: readUvLock,
  poetry: readPoetryLock,
  pdm: readPdmLock,
  "pipfile-lock": readPipfileLock,
  pylock: readPylock,
};

function locked(project: ProjectFiles, source: DependencySource, read: LockReader): Dependencies {
  const { file, extras, groups } = source;
  const folder = folderOf(file);
  const pyproject = ownPyproject(project, folder);
  const needs = pyproject?.needs(extras, groups);
  const selection = { project: pyproject?.name, extras, groups, direct: needs?.edges ?? [], folder };
  const reading = read(contentOf(project, file), file, selection);
  const unknown = [...new Set([...reading.unknown, ...(readsGroupsItself(source) ? [] : (needs?.unknown ?? []))])];
  if (unknown.length > 0) throw unknownNames(file, unknown);
  const lacking = reading.missing.filter((name) => name !== pyproject?.name);
  // What pip resolves itself has to be whole: the lock's exact versions could contradict it.
  const stale = lacking.length > 0 && needs !== undefined;
  const own = mustBeInstalled(project, pyproject) ? [itself({ ...source, extras: [] })] : [];
  const requirements = [...(stale ? needs.requirements : reading.requirements), ...own];
  const warnings =
    lacking.length > 0 ? [`${file} is older than pyproject.toml: it lacks ${lacking.join(", ")}; lock again`] : [];
  return { file, locked: !stale, requirements, indexes: [...new Set(reading.indexes)], warnings };
}

/** Their sections say what is in which group, and pyproject.toml need not. */
function readsGroupsItself({ form }: DependencySource): boolean {
  return form !== "poetry" && form !== "pdm";
}

function unlocked(project: ProjectFiles, source: DependencySource): Dependencies {
  const { file, extras, groups } = source;
  const pyproject = readPyproject(contentOf(project, file), file);
  const { requirements, unknown } = pyproject.needs(extras, groups);
  if (unknown.length > 0) throw unknownNames(file, unknown);
  const { dynamic } = pyproject;
  const folder = folderOf(file);
  const files = dynamic?.files ?? [];
  const included = files.map((each) => ({ name: "", line: `-r ${posix.join(folder, each)}`, marker: "", hashes: [] }));
  const build = (dynamic !== undefined && files.length === 0) || (folder === "" && mustBeInstalled(project, pyproject));
  const all = [...requirements, ...included, ...(build ? [itself(source)] : [])];
  return { file, locked: false, requirements: all, indexes: [], warnings: [] };
}

/** The project as a package that is built. */
function itself({ file, extras }: Pick<DependencySource, "file" | "extras">): Requirement {
  const folder = folderOf(file).replace(/\/$/, "");
  const place = folder === "" ? "." : folder;
  return { name: "", line: extras.length === 0 ? place : `${place}[${extras.join(",")}]`, marker: "", hashes: [] };
}

/** Its modules lie in src/, so they can be imported only where the project is installed; or they read its metadata. */
function mustBeInstalled(project: ProjectFiles, pyproject: Pyproject | undefined): boolean {
  if (pyproject?.builds !== true) return false;
  return project.folders().includes("src") || ownMetadata(project) !== undefined;
}

function ownPyproject(project: ProjectFiles, folder: string): Pyproject | undefined {
  for (const file of new Set(["pyproject.toml", `${folder}pyproject.toml`])) {
    const content = project.read(file);
    if (content !== undefined) return readPyproject(content, file);
  }
  return undefined;
}

function contentOf(project: ProjectFiles, file: string): string {
  const content = project.read(file);
  if (content !== undefined) return content;
  throw requirementsInvalid(
    `The project has no ${file}.`,
    "Correct python.requirements in cutover.yml, or add the file.",
  );
}

/** With a slash at its end; empty for the project itself. */
function folderOf(file: string): string {
  const folder = posix.dirname(file);
  return folder === "." ? "" : `${folder}/`;
}

function unknownNames(file: string, unknown: string[]) {
  return requirementsInvalid(
    `${file} has no extra and no group ${unknown.join(", ")}, which python.requirements names.`,
    "Correct python.requirements in cutover.yml, or lock again.",
  );
}

function condaRefused(file: string) {
  return requirementsInvalid(
    `${file} is for conda, whose packages pip cannot install.`,
    "List what the app needs from PyPI in a requirements.txt: `pip list --format=freeze` in the conda environment is a start.",
  );
}

/** The normalized names of all that is installed, with extras also `name[extra]`, as far as the file says it; undefined for a requirements file. */
export function dependencyNames(project: ProjectFiles, given: string): Set<string> | undefined {
  const dependencies = readDependencies(project, given);
  const named = dependencies?.requirements.filter(({ name }) => name !== "");
  return (
    named && new Set(named.flatMap(({ name, line }) => [name, ...extrasOf(line).map((extra) => `${name}[${extra}]`)]))
  );
}
