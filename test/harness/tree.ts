import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";

/** All that lies in a directory, by path, with owner, mode and the time of its last change of any kind. */
export function describeFiles(root: string, without: string[] = []): Record<string, string> {
  const found: Record<string, string> = { ".": describe(root) };
  const walk = (directory: string) => {
    for (const name of readdirSync(directory).sort()) {
      const path = join(directory, name);
      if (without.includes(relative(root, path))) continue;
      found[relative(root, path)] = describe(path);
      if (lstatSync(path).isDirectory()) walk(path);
    }
  };
  walk(root);
  return found;
}

function describe(path: string): string {
  const status = lstatSync(path, { bigint: true });
  const access = `${(status.mode & 0o7777n).toString(8)} ${status.uid}:${status.gid}`;
  const target = status.isSymbolicLink() ? ` -> ${readlinkSync(path)}` : "";
  return `${access} ${status.size} ${status.ino} ${status.ctimeNs}${target}`;
}
