import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ProjectFiles } from "../project-clues.ts";
import { type DjangoSettings, readSettings } from "./django-settings.ts";
import { type PythonScan, scanPython } from "./python-scan.ts";
import { scanWrites, type Written } from "./write-scan.ts";

/** Folders that hold no application: other people's code, tests, what is built. */
const ignored = new Set(
  (
    "node_modules venv env .venv site-packages __pycache__ build dist static staticfiles media templates locale " +
    "migrations test tests testing docs doc example examples sample samples benchmarks notebooks vendor third_party " +
    "scripts htmlcov fixtures alembic assets public"
  ).split(" "),
);

/** Five folders deep: `src/py/shop/web/app.py`. More is the project's own business. */
const deepest = 5;
const mostFiles = 20_000;
const mostPython = 2500;

/**
 * The files that may say something about what serves a project, those at the top first. Bounded in depth and number; links
 * to directories are not followed.
 */
export function listProject(directory: string): string[] {
  const found: string[] = [];
  let level = [""];
  for (let depth = 0; depth < deepest && found.length < mostFiles; depth++) {
    const inside = level.flatMap((folder) => entries(directory, folder));
    found.push(...inside.filter(({ isFolder }) => !isFolder).map(({ path }) => path));
    level = inside.filter(({ isFolder, name }) => isFolder && isOwn(name)).map(({ path }) => path);
  }
  return found.slice(0, mostFiles);
}

function isOwn(name: string): boolean {
  return !ignored.has(name) && !name.startsWith(".");
}

function entries(directory: string, folder: string): { name: string; path: string; isFolder: boolean }[] {
  try {
    return readdirSync(join(directory, folder), { withFileTypes: true })
      .map((entry) => ({
        name: entry.name,
        path: folder === "" ? entry.name : `${folder}/${entry.name}`,
        isFolder: entry.isDirectory(),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}

const notApplications = /(?:^|\/)(?:test_[^/]*|[^/]*_test|conftest|setup|noxfile|fabfile|__version__)\.py$/;

/** The Python files of a project that may say what serves it, in the order of their weight. */
export function pythonFilesIn(paths: string[]): string[] {
  return paths.filter((path) => path.endsWith(".py") && !notApplications.test(path)).slice(0, mostPython);
}

/** Django's settings that were read already, by `settingsKey`. */
export type KnownSettings = ReadonlyMap<string, DjangoSettings | undefined>;

export function settingsKey(folder: string, module: string): string {
  return `${folder} ${module}`;
}

/**
 * The part of a project's files that takes time to get: it is got when it is asked for, and once.
 * @param known what somebody has got before
 */
export function lazily(
  directory: string,
  known: { paths?: string[]; scan?: PythonScan; settings?: KnownSettings } = {},
): Pick<Required<ProjectFiles>, "paths" | "python" | "writes" | "djangoSettings"> {
  let { paths, scan } = known;
  let written: Written[] | undefined;
  const settings = new Map(known.settings);
  const list = () => {
    paths ??= listProject(directory);
    return paths;
  };
  const files = () => pythonFilesIn(list());
  return {
    paths: list,
    python: () => {
      scan ??= scanPython(directory, files());
      return scan;
    },
    writes: () => {
      written ??= scanWrites(directory, files());
      return written;
    },
    djangoSettings: (folder, module) => {
      const key = settingsKey(folder, module);
      if (!settings.has(key)) settings.set(key, readSettings(directory, folder, module));
      return settings.get(key);
    },
  };
}
