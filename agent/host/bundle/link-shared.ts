import { chmodSync, lstatSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { type LinkedPath, linkedPaths, type Shared } from "../../../shared/config-site.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { bundleUnchanged } from "./bundle-stream.ts";

/**
 * Makes the links from a release into the app's shared directory (`shared[].path` in cutover.yml). What they lead to is the
 * app's user's own, and need not exist.
 * @param root the release while it is unpacked, next to the place that it will have; nobody else can write there
 * @throws CutoverError manifest_invalid if the bundle has something at such a path
 */
export function linkShared(root: string, shared: readonly Shared[]): void {
  for (const linked of linkedPaths(shared)) {
    const link = posix.join("app", linked.path);
    if (!isFree(root, link)) throw inTheWay(linked);
    makeParents(root, dirname(link));
    // The release's directory is two below the app's.
    const target = posix.join("../../shared", linked.place);
    symlinkSync(relative(dirname(link), target), join(root, link));
  }
}

/** Nothing is there, and what is above it are directories of the release, or nothing. */
function isFree(root: string, path: string): boolean {
  const parts = path.split("/");
  for (let depth = 1; depth <= parts.length; depth++) {
    const status = lstatSync(join(root, ...parts.slice(0, depth)), { throwIfNoEntry: false });
    if (status === undefined) return true;
    if (!status.isDirectory()) return false;
  }
  return false;
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function makeParents(root: string, path: string): void {
  if (isDirectory(join(root, path))) return;
  makeParents(root, dirname(path));
  mkdirSync(join(root, path), { mode: 0o755 });
  chmodSync(join(root, path), 0o755);
}

function inTheWay({ path }: LinkedPath): CutoverError {
  return new CutoverError(
    "manifest_invalid",
    `The bundle has something at ${path}, which is to be a link to a shared file.`,
    {
      unchanged: bundleUnchanged,
      fix: "Pack the bundle again with the Action, which puts it where the app's shared directory starts from.",
    },
  );
}
