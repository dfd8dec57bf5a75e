import { posix } from "node:path";
import type { Edge } from "./graph.ts";
import { extrasOf, parseRequirement, type Requirement } from "./requirement.ts";

/** What of a lock is wanted. */
export interface Selection {
  /** The project's normalized name; undefined if pyproject.toml does not name it. */
  project: string | undefined;
  /** Normalized names of optional dependencies, and of dependency groups. */
  extras: string[];
  groups: string[];
  /** What pyproject.toml says that the project needs itself, for locks that do not repeat it. */
  direct: Edge[];
  /** The lock's folder, relative to the project: empty, or `../` once or more. */
  folder: string;
}

/** What a lock says. */
export interface LockReading {
  requirements: Requirement[];
  /** Names that are needed and not in the lock: it is older than what it was made from. */
  missing: string[];
  /** Extras and groups that were asked for and that nothing has. */
  unknown: string[];
  /** The addresses of the indexes, PyPI's too. */
  indexes: string[];
  /** The project is a package that its tool installs too. */
  installed: boolean;
}

/** A path of a lock, relative to the project, as pip knows it for one. */
export function localPath(folder: string, place: string): string {
  if (posix.isAbsolute(place)) return place;
  const path = posix.normalize(posix.join(folder, place)).replace(/\/$/, "");
  return path === "." || path.startsWith("../") || path === ".." ? path : `./${path}`;
}

/** A requirement of PEP 508 as an edge of the graph. */
export function edgeOfRequirement(given: string): Edge {
  const { name, line, marker } = parseRequirement(given);
  const [constraint] = /[<>=!~][^()@]*/.exec(line) ?? [];
  return { name, extras: extrasOf(given), marker, constraint };
}
