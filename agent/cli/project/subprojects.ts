import { join } from "node:path";
import { survey } from "../../../shared/detect/detect.ts";
import { projectIn } from "./project-directory.ts";

/** Files that make a folder a project of its own. */
const marks = ["requirements.txt", "pyproject.toml", "Pipfile", "manage.py", "setup.py", "cutover.yml", "Procfile"];
/** Folders with an example or a test of something else. */
const notOwn =
  /(?:^|\/)(?:examples?|samples?|demos?|docs?|tests?|benchmarks?|templates?|tutorials?|fixtures|vendor|third_party)(?:\/|$)/i;
const most = 12;

/**
 * Folders of a repository that are projects by themselves, with something to serve. Empty if the top is the project: it has
 * requirements of its own, or none of the folders has.
 */
export function subprojects(directory: string): string[] {
  const project = projectIn(directory);
  const paths = project.paths?.() ?? [];
  const folders = new Set(
    paths.flatMap((path) => {
      const cut = path.lastIndexOf("/");
      const deep = path.split("/").length <= 3;
      return cut > 0 && deep && marks.includes(path.slice(cut + 1)) ? [path.slice(0, cut)] : [];
    }),
  );
  const dependencies = (folder: string) =>
    marks.slice(0, 3).some((name) => project.exists(folder === "" ? name : `${folder}/${name}`));
  if (dependencies("") && project.exists("manage.py")) return [];
  const own = [...folders].filter((folder) => !notOwn.test(folder) && (dependencies(folder) || !dependencies("")));
  const outer = own.filter(
    (folder) => !own.some((other) => folder.startsWith(`${other}/`) && !isWorkspace(other, project.exists)),
  );
  return outer.slice(0, most).filter((folder) => serves(join(directory, folder)));
}

/** A folder whose pyproject.toml only lists the projects below it. */
function isWorkspace(folder: string, exists: (path: string) => boolean): boolean {
  return !exists(`${folder}/manage.py`) && !exists(`${folder}/requirements.txt`) && !exists(`${folder}/Procfile`);
}

function serves(directory: string): boolean {
  const { detection } = survey(projectIn(directory));
  return detection.found || detection.candidates.length > 0;
}
