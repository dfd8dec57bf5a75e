import { readdirSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import ignore, { type Ignore } from "ignore";
import { CutoverError } from "../../shared/errors.ts";
import { manifestLimits, pathFault } from "../../shared/manifest.ts";
import { reading } from "./unreadable.ts";

/** A file for the bundle: its path there, and its real path now. */
export interface PackFile {
  path: string;
  source: string;
  mode: 0o644 | 0o755;
}

/** Never packed, unless `exclude` takes one back with a leading `!`. */
export const alwaysExcluded = [
  ".git",
  ".hg",
  ".svn",
  "__pycache__",
  "*.pyc",
  ".venv",
  "venv",
  "node_modules",
  ".cutover",
  ".tox",
  ".mypy_cache",
  ".pytest_cache",
  ".ruff_cache",
  ".DS_Store",
];

export interface WalkOptions {
  /** The project: no symlink may lead out of it. */
  root: string;
  /** The directory in the project whose files are wanted. */
  directory: string;
  /** Where the files go in the bundle: `app`, or `static/static`. */
  area: string;
  /** Patterns in the syntax of .gitignore, relative to `directory`. */
  exclude: string[];
}

interface Walk {
  root: string;
  area: string;
  rules: Ignore;
  files: PackFile[];
  /** How many were entered. Links can make a few folders look like any number of them. */
  directories: number;
  outside: string[];
  refused: string[];
}

/**
 * The files below a directory, symlinks replaced by their targets, modes made 0644 or 0755. Synchronous: for
 * thousands of small files that is several times faster than promises, and the job has nothing else to do meanwhile.
 * @throws CutoverError symlink_outside, path_not_allowed, naming up to ten places; file_changed
 */
export function walkFiles({ root, directory, area, exclude }: WalkOptions): PackFile[] {
  const rules = ignore({ ignorecase: false }).add(exclude);
  const walk: Walk = {
    root: reading(root, () => realpathSync(root)),
    area,
    rules,
    files: [],
    directories: 0,
    outside: [],
    refused: [],
  };
  const start = reading(directory, () => realpathSync(directory));
  if (isInside(walk.root, start)) walkDirectory(walk, start, "", [start]);
  else walk.outside.push(`${directory} -> ${start}`);
  if (walk.outside.length > 0) {
    throw new CutoverError("symlink_outside", listed("These symlinks leave the project", walk.outside), {
      unchanged: "Nothing was sent.",
      fix: "Put the files into the project, or leave the symlink out with `exclude` in cutover.yml.",
    });
  }
  if (walk.refused.length > 0) {
    throw new CutoverError("path_not_allowed", listed("These paths cannot be packed", walk.refused), {
      unchanged: "Nothing was sent.",
      fix: "Rename them, or leave them out with `exclude` in cutover.yml.",
    });
  }
  return walk.files;
}

function listed(what: string, places: string[]): string {
  const more = places.length > 10 ? [`and ${places.length - 10} more`] : [];
  return [`${what}:`, ...places.slice(0, 10), ...more].join("\n");
}

/** @param parents the real paths of the directories above: meeting one of them again would be a cycle */
function walkDirectory(walk: Walk, real: string, relative: string, parents: string[]): void {
  if (++walk.directories > manifestLimits.directories)
    throw tooMany(manifestLimits.directories, "folders, counting those behind links");
  for (const entry of reading(relative || real, () => readdirSync(real, { withFileTypes: true }))) {
    const path = relative === "" ? entry.name : `${relative}/${entry.name}`;
    if (entry.isSymbolicLink()) walkSymlink(walk, join(real, entry.name), path, parents);
    else if (entry.isDirectory()) enter(walk, join(real, entry.name), path, parents);
    else if (entry.isFile()) addFile(walk, join(real, entry.name), path);
    // Sockets, pipes and devices have no content to pack.
  }
}

function enter(walk: Walk, real: string, path: string, parents: string[]): void {
  if (walk.rules.ignores(`${path}/`) || parents.includes(real)) return;
  walkDirectory(walk, real, path, [...parents, real]);
}

function walkSymlink(walk: Walk, link: string, path: string, parents: string[]): void {
  if (walk.rules.ignores(path)) return;
  const stats = reading(path, () => statSync(link, { throwIfNoEntry: false }));
  // A pattern such as `media/` names a directory, and so a symlink to one. What a broken one leads to is not known.
  if (stats?.isFile() !== true && walk.rules.ignores(`${path}/`)) return;
  const target = reading(path, () => readlinkSync(link));
  const real = realPath(link);
  if (real === undefined || stats === undefined) {
    if (isInside(walk.root, resolve(dirname(link), target))) {
      walk.refused.push(`${path} -> ${target}: a symlink to nothing`);
    } else {
      walk.outside.push(`${path} -> ${target}`);
    }
    return;
  }
  if (!isInside(walk.root, real)) {
    walk.outside.push(`${path} -> ${target}`);
    return;
  }
  if (stats.isDirectory()) enter(walk, real, path, parents);
  else if (stats.isFile()) addFile(walk, real, path, stats);
}

function realPath(link: string): string | undefined {
  try {
    return realpathSync(link);
  } catch {
    return undefined;
  }
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

function addFile(walk: Walk, source: string, relative: string, known?: Stats): void {
  if (walk.rules.ignores(relative)) return;
  const stats = known ?? reading(relative, () => statSync(source));
  const path = `${walk.area}/${relative}`;
  const fault = relative.includes("\ufffd") ? "has a name that is not UTF-8" : pathFault(path);
  if (fault !== undefined) {
    walk.refused.push(`${JSON.stringify(relative)}: ${fault}`);
    return;
  }
  if (walk.files.length >= manifestLimits.files) {
    throw tooMany(manifestLimits.files, "files");
  }
  walk.files.push({ path, source, mode: (stats.mode & 0o100) === 0 ? 0o644 : 0o755 });
}

function tooMany(limit: number, what: string): CutoverError {
  return new CutoverError("path_not_allowed", `The project has more than ${limit} ${what}.`, {
    unchanged: "Nothing was sent.",
    fix: "Leave out what the app does not need with `exclude` in cutover.yml.",
  });
}
