import { posix } from "node:path";
import type { ProjectFiles } from "../../project-clues.ts";
import { foldersAbove } from "../../repository-top.ts";

/** Files of these names in the repository's folders above, such as `../Dockerfile`. */
export function filesAbove(names: string[], files: ProjectFiles): string[] {
  const folders = foldersAbove(files).slice(0, 3);
  return folders.flatMap((folder) => names.map((name) => `${folder}${name}`)).filter((path) => files.exists(path));
}

/** Whether a folder that a file above names, such as `backend` in `../compose.yml`, is the project. Others are other projects. */
export function isProject(file: string, named: string, files: ProjectFiles): boolean {
  const above = /^(?:\.\.\/)+/.exec(file)?.[0];
  if (above === undefined) return true;
  const folder = posix.normalize(named).replace(/\/$/, "");
  if (folder.startsWith(".") || folder.split("/").length !== above.length / 3) return false;
  const some = (files.paths?.() ?? []).slice(0, 3);
  return some.length > 0 && some.every((path) => files.read(`${above}${folder}/${path}`) === files.read(path));
}
