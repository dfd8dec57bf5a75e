import { basename, dirname, resolve } from "node:path";

/** Names of folders that say nothing about whose they are. */
const generic = new Set(
  "src backend back-end back app api server web webapp website site project projects code source django flask fastapi python service services apps main www application core deploy repo workspace".split(
    " ",
  ),
);

/**
 * The name of the folder, or of the first one above it that says something; then that of the repository. In a repository
 * with several projects the folder's own name distinguishes them.
 */
export function appNameFor(directory: string, root: string, repository: string | undefined): string {
  const own = plain(basename(resolve(directory)));
  const named = plain(repository?.split("/")[1] ?? basename(resolve(root)));
  if (own !== "" && !generic.has(own)) return own;
  // The repository's name is whose it is; a folder of it, such as backend, is what.
  if (resolve(directory) !== resolve(root) && named !== "" && !generic.has(named)) return plain(named);
  for (let path = dirname(resolve(directory)); path !== dirname(path); path = dirname(path)) {
    const name = plain(basename(path));
    if (repository === undefined && name !== "" && !generic.has(name)) return name;
  }
  return named === "" ? own || "app" : named;
}

/** With the characters that an app's name may have. */
function plain(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 32)
    .replace(/^-+|-+$/g, "");
}
