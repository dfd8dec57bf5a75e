import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Project } from "../../../shared/project.ts";

/** The directory of the repository that a directory lies in. */
export function repositoryOf(directory: string): string | undefined {
  for (let path = resolve(directory); ; path = dirname(path)) {
    if (existsSync(join(path, ".git"))) return path;
    if (path === dirname(path)) return undefined;
  }
}

export function branchOf(repository: Project): string {
  for (const file of [".git/refs/remotes/origin/HEAD", ".git/HEAD"]) {
    const branch = /^ref: refs\/(?:remotes\/origin|heads)\/(\S+)$/m.exec(repository.read(file) ?? "")?.[1];
    if (branch !== undefined) return branch;
  }
  return "main";
}

/** The name from the remote origin, of any GitHub server: git@host:owner/name.git, https://host/owner/name. */
export function repositoryNameOf(repository: Project): string | undefined {
  const [, origin = ""] = /^\[remote "origin"\]\n((?:[ \t].*\n?)*)/m.exec(repository.read(".git/config") ?? "") ?? [];
  const path = /^\s*url\s*=\s*(?:\w+:\/\/[^/\s]+\/|[\w.-]+@[\w.-]+:)(\S+)\s*$/m.exec(origin)?.[1] ?? "";
  return /^([A-Za-z0-9-]+\/[A-Za-z0-9._-]+?)(?:\.git)?\/?$/.exec(path)?.[1];
}
