import { normalName } from "../dependencies/requirement.ts";
import type { ProjectFiles } from "../project-files.ts";
import { at } from "./findings.ts";
import { isTable, tomlValue, valueAt } from "./tables.ts";

/** The project as a package whose own code asks for its metadata: that fails where it is not installed. */
export interface OwnMetadata {
  name: string;
  /** `shop/__init__.py:3` */
  where: string;
}

/** @returns undefined if it reads none, or catches that there is none */
export function ownMetadata(files: ProjectFiles): OwnMetadata | undefined {
  const name = ownName(files);
  if (name === undefined) return undefined;
  const groups = ownGroups(files);
  for (const [file, { metadata }] of Object.entries(files.python?.().modules ?? {})) {
    const found = metadata.find((each) => groups.has(each.name) || normalName(each.name) === normalName(name));
    if (found !== undefined) return { name, where: at(file, found.line) };
  }
  return undefined;
}

/** The groups of entry points that the project fills itself, such as those of its own plugins. */
function ownGroups(files: ProjectFiles): ReadonlySet<string> {
  const value = tomlValue(files.read("pyproject.toml") ?? "");
  const tables = [valueAt(value, "project", "entry-points"), valueAt(value, "tool", "poetry", "plugins")];
  return new Set(tables.flatMap((each) => (isTable(each) ? Object.keys(each).map((group) => `group:${group}`) : [])));
}

function ownName(files: ProjectFiles): string | undefined {
  const value = tomlValue(files.read("pyproject.toml") ?? "");
  const named = [valueAt(value, "project", "name"), valueAt(value, "tool", "poetry", "name")];
  const text = named.find((each) => typeof each === "string");
  if (text !== undefined) return text;
  return /^[ \t]*name[ \t]*=[ \t]*["']?([\w.-]+)/m.exec(
    `${files.read("setup.cfg") ?? ""}\n${files.read("setup.py") ?? ""}`,
  )?.[1];
}
