import { dependencyNames } from "./dependencies/read-dependencies.ts";
import { extrasOf, normalName } from "./dependencies/requirement.ts";
import type { ProjectFiles } from "./project-files.ts";

export type { ProjectFiles };

/** The names of the requirements, in lower case; undefined if the project has no such file. */
export function requirementNames(files: ProjectFiles, file: string): Set<string> | undefined {
  const told = namesOf(files, file);
  if (told !== undefined) return told;
  const names = new Set<string>();
  const seen = new Set<string>();
  const read = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const line of (files.read(path) ?? "").split("\n")) {
      const included = /^\s*(?:-r|--requirement)[\s=]*([^\s#]+)/.exec(line)?.[1];
      if (included !== undefined) read(joined(folderOf(path), included));
      const name = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)/.exec(line)?.[1];
      if (name === undefined) continue;
      for (const each of [normalName(name), ...extrasOf(line).map((extra) => `${normalName(name)}[${extra}]`)])
        names.add(each);
    }
  };
  const pyproject = files.read("pyproject.toml");
  const dependencies = listedIn(pyproject ?? "");
  for (const [, name = ""] of (dependencies ?? "").matchAll(/["']\s*([A-Za-z0-9][A-Za-z0-9._-]*)/g))
    names.add(normalName(name));
  if (files.exists(file)) read(file);
  else if (dependencies === undefined) return undefined;
  return names;
}

/** What stands between the brackets of `dependencies = [...]`. */
function listedIn(pyproject: string): string | undefined {
  const [begin] = /^dependencies[ \t]*=[ \t]*\[/m.exec(pyproject) ?? [];
  if (begin === undefined) return undefined;
  const rest = pyproject.slice(pyproject.indexOf(begin) + begin.length);
  const end = rest.search(/\][ \t]*\r?$/m);
  return end === -1 ? undefined : rest.slice(0, end);
}

/** undefined for a file of requirements, which may include others. */
function namesOf(files: ProjectFiles, file: string): Set<string> | undefined {
  try {
    return dependencyNames(files, file);
  } catch {
    // A file that cannot be read names nothing; projectFaults says why.
    return new Set();
  }
}

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
}

function joined(folder: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${folder}${path}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}
