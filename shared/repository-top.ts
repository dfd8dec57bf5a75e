import type { ProjectFiles } from "./project-files.ts";

/** So far above a project its repository is looked at. */
const highest = 5;

/**
 * The folders above the project that belong to its repository, the nearest first: `../`, `../../`. None if the project is
 * at the top, or in no repository.
 */
export function foldersAbove(project: Pick<ProjectFiles, "exists">): string[] {
  const folders: string[] = [];
  for (let folder = ""; folders.length <= highest; folder += "../") {
    // A work tree and a submodule have a file of this name.
    if (project.exists(`${folder}.git/HEAD`) || project.exists(`${folder}.git`)) return folders;
    folders.push(`${folder}../`);
  }
  return [];
}
