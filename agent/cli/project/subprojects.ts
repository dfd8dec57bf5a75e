import { join } from "node:path";
import { survey } from "../../../shared/detect/detect.ts";
import type { Project } from "../../../shared/project.ts";
import { projectIn } from "./project-directory.ts";

/** Files that make a folder a project of its own. */
const dependencies = ["requirements.txt", "pyproject.toml", "Pipfile"];
const marks = [...dependencies, "manage.py", "setup.py", "cutover.yml", "Procfile"];
/** Folders with an example or a test of something else. */
const notOwn =
  /(?:^|\/)(?:examples?|samples?|demos?|docs?|tests?|benchmarks?|templates?|tutorials?|fixtures|vendor|third_party)(?:\/|$)/i;
const most = 12;
/** A workspace in a folder of the repository. */
const deepest = 1;

/** A folder of a project that is a project by itself. */
export interface Subproject {
  folder: string;
  project: Project;
}

/**
 * Folders that are projects by themselves, with something to serve. None if the top is the project: it serves something that
 * does not lie in one of them.
 */
export function subprojects(directory: string, project: Project, depth = 0): Subproject[] {
  const folders = markedFolders(project);
  if (folders.length === 0 || servesItself(project, folders)) return [];
  const found = folders
    .slice(0, most)
    .map((folder) => ({ folder, project: projectIn(join(directory, folder)) }))
    .flatMap((each) => (depth < deepest ? [...inside(directory, each, depth + 1), each] : [each]))
    .filter((each) => serves(each.project));
  // What holds other projects, such as a workspace, is none of them; they are found in it and by themselves.
  const isAgain = (folder: string, index: number) => found.findIndex((other) => other.folder === folder) < index;
  return found.filter(
    ({ folder }, index) => !isAgain(folder, index) && !found.some((other) => other.folder.startsWith(`${folder}/`)),
  );
}

function inside(directory: string, { folder, project }: Subproject, depth: number): Subproject[] {
  const found = subprojects(join(directory, folder), project, depth);
  return found.map((each) => ({ ...each, folder: `${folder}/${each.folder}` }));
}

/** Folders with requirements of their own; if the top has none, also those that have another mark of a project. */
function markedFolders(project: Project): string[] {
  const has = (folder: string, names: string[]) =>
    names.some((name) => project.exists(folder === "" ? name : `${folder}/${name}`));
  // Where the top has none, services may lie in groups: `src/accounts/users`.
  const depth = has("", dependencies) ? 3 : 4;
  const folders = (project.paths?.() ?? []).flatMap((path) => {
    const cut = path.lastIndexOf("/");
    const deep = path.split("/").length <= depth;
    return cut > 0 && deep && marks.includes(path.slice(cut + 1)) ? [path.slice(0, cut)] : [];
  });
  const above = has("", dependencies);
  const own = [...new Set(folders)].filter((folder) => !notOwn.test(folder) && (!above || has(folder, dependencies)));
  // A folder whose pyproject.toml only lists the projects below it is none.
  const isWhole = (folder: string) => has(folder, ["manage.py", "requirements.txt", "Procfile"]);
  return own.filter((folder) => !own.some((other) => folder.startsWith(`${other}/`) && isWhole(other)));
}

function servesItself(project: Project, folders: string[]): boolean {
  const { detection } = survey(project);
  if (!detection.found) return false;
  const { server, env } = detection;
  const base = env.PYTHONPATH === undefined ? "" : `${env.PYTHONPATH}/`;
  const module = `${base}${(server.app ?? "").split(":")[0]?.replaceAll(".", "/") ?? ""}`;
  return !folders.some(
    (folder) =>
      env.PYTHONPATH === folder || module.startsWith(`${folder}/`) || server.command?.includes(` ${folder}/`) === true,
  );
}

function serves(project: Project): boolean {
  const { detection } = survey(project);
  return detection.found || detection.candidates.length > 0;
}
