import type { DjangoSettings } from "./detect/django-settings.ts";
import type { PythonScan } from "./detect/python-scan.ts";

/** The files of a project that show what serves it. Paths are relative, with `/`. */
export interface ProjectFiles {
  exists(path: string): boolean;
  /** undefined if there is no such file */
  read(path: string): string | undefined;
  /** Names of the folders at the top of the project, in their order. */
  folders(): string[];
  /** Paths of the files that may show what serves the project, those at the top first. Bounded in depth and number. */
  paths?(): string[];
  /** What Python's own parser finds in the project's Python files. */
  python?(): PythonScan;
  /**
   * What Django's settings say, read and not imported; undefined if they cannot be read.
   * @param folder that of manage.py
   */
  djangoSettings?(folder: string, module: string): DjangoSettings | undefined;
}

/** The names of the requirements, in lower case; undefined if the project has no such file. */
export function requirementNames(files: ProjectFiles, file: string): Set<string> | undefined {
  const names = new Set<string>();
  const seen = new Set<string>();
  const read = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const line of (files.read(path) ?? "").split("\n")) {
      const included = /^\s*(?:-r|--requirement)[\s=]*([^\s#]+)/.exec(line)?.[1];
      if (included !== undefined) read(joined(folderOf(path), included));
      const name = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)/.exec(line)?.[1];
      if (name !== undefined) names.add(normal(name));
    }
  };
  const pyproject = files.read("pyproject.toml");
  const dependencies = /^dependencies\s*=\s*\[([\s\S]*?)\][ \t]*$/m.exec(pyproject ?? "")?.[1];
  for (const [, name = ""] of (dependencies ?? "").matchAll(/["']\s*([A-Za-z0-9][A-Za-z0-9._-]*)/g))
    names.add(normal(name));
  if (files.exists(file)) read(file);
  else if (dependencies === undefined) return undefined;
  return names;
}

function normal(name: string): string {
  return name.toLowerCase().replace(/[._-]+/g, "-");
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
