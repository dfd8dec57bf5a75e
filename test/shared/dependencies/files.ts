import type { ProjectFiles } from "../../../shared/project-files.ts";

/** A project of these files, by their paths relative to it. */
export function projectOf(files: Record<string, string>): ProjectFiles {
  const names = Object.keys(files);
  return {
    exists: (path) => path in files || names.some((name) => name.startsWith(`${path}/`)),
    read: (path) => files[path],
    folders: () => [
      ...new Set(names.filter((name) => /^\w[^/]*\//.test(name)).map((name) => name.split("/")[0] ?? "")),
    ],
  };
}
