import type { ProjectFiles } from "../project-files.ts";
import { foldersAbove } from "../repository-top.ts";
import { readPyproject } from "./pyproject.ts";

/** The places in which projects say what they need, in the order in which they are believed. */
const places = [
  "requirements.txt",
  "pylock.toml",
  "uv.lock",
  "poetry.lock",
  "pdm.lock",
  "Pipfile.lock",
  "requirements/production.txt",
  "requirements/prod.txt",
  "requirements/deploy.txt",
  "requirements/requirements.txt",
  "requirements/main.txt",
  "requirements/base.txt",
  "requirements/common.txt",
  "requirements-production.txt",
  "requirements-prod.txt",
  "requirements_prod.txt",
  "requirements/requirements-prod.txt",
  "pyproject.toml",
  "Pipfile",
  "setup.py",
  "environment.yml",
  "environment.yaml",
];

/** What a workspace has at its top for all of its members. */
const workspaceLocks = ["uv.lock", "pylock.toml", "pdm.lock"];

/**
 * The file that says what the project needs; undefined if there is none. It may lie above the project, but not above its
 * repository: `startproject` makes two folders, and a workspace has its lock at the top.
 */
export function findDependencies(project: ProjectFiles): string | undefined {
  const own = places.find((place) => saysSomething(project, place));
  // A member of a workspace has a pyproject.toml of its own.
  if (own !== undefined && own !== "pyproject.toml") return own;
  for (const [index, folder] of foldersAbove(project).entries()) {
    const candidates = own === undefined && index === 0 ? places : workspaceLocks;
    const found = candidates.map((place) => `${folder}${place}`).find((place) => saysSomething(project, place));
    if (found !== undefined) return found;
  }
  return own;
}

function saysSomething(project: ProjectFiles, place: string): boolean {
  if (!project.exists(place)) return false;
  if (!place.endsWith("pyproject.toml")) return true;
  try {
    const pyproject = readPyproject(project.read(place) ?? "", place);
    return pyproject.dynamic !== undefined || pyproject.needs([], []).requirements.length > 0;
  } catch {
    // Whoever reads it for its content says what is wrong.
    return false;
  }
}
