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
}

/** An application that was found: `module:attribute`, and the file that shows it. */
export interface Application {
  app: string;
  file: string;
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

/** The WSGI and ASGI applications of a Django project, by its settings or by the files that startproject makes. */
export function djangoApplications(files: ProjectFiles): { wsgi?: Application; asgi?: Application } | undefined {
  const manage = files.read("manage.py");
  if (manage === undefined || !/django/i.test(manage)) return undefined;
  const settings = /DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']/.exec(manage)?.[1];
  const find = (kind: "wsgi" | "asgi") => djangoApplication(files, settings, kind);
  const [wsgi, asgi] = [find("wsgi"), find("asgi")];
  return { ...(wsgi && { wsgi }), ...(asgi && { asgi }) };
}

function djangoApplication(files: ProjectFiles, settings: string | undefined, kind: "wsgi" | "asgi") {
  for (const file of settings === undefined ? [] : settingsFiles(settings)) {
    const name = new RegExp(`^${kind.toUpperCase()}_APPLICATION\\s*=\\s*["']([\\w.]+)\\.(\\w+)["']`, "m");
    const [, module, attribute] = name.exec(files.read(file) ?? "") ?? [];
    if (module !== undefined) return { app: `${module}:${attribute}`, file };
  }
  const packages = [settings?.split(".")[0], ...files.folders()].filter((name) => name !== undefined);
  const file = packages.map((name) => `${name}/${kind}.py`).find((path) => files.exists(path));
  return file === undefined ? undefined : { app: `${moduleOf(file)}:application`, file };
}

/** A module, or a package whose settings are split. */
function settingsFiles(module: string): string[] {
  const path = module.replaceAll(".", "/");
  const split = path.replace(/[^/]+$/, "base");
  return [`${path}.py`, `${path}/__init__.py`, `${path}/base.py`, `${split}.py`];
}

const scripts = ["app.py", "main.py", "server.py", "wsgi.py", "asgi.py"];

const strangers = new Set(["test", "tests", "docs", "doc", "example", "examples", "scripts", "venv", "node_modules"]);

/** Files that may hold an application: those names at the top, or else one folder below. */
export function scriptsOf(files: ProjectFiles): string[][] {
  const folders = files.folders().filter((folder) => !strangers.has(folder) && !folder.startsWith("."));
  const inside = folders.flatMap((folder) => scripts.map((name) => `${folder}/${name}`));
  return [scripts, inside].map((paths) => paths.filter((path) => files.exists(path)));
}

export type Framework = "tornado" | "aiohttp" | "flask" | "fastapi" | "starlette";

const imports: [Framework, RegExp][] = [
  ["tornado", /^\s*(?:import tornado\.(?:web|httpserver)|from tornado(?:\.web)? import |from tornado\.httpserver )/m],
  // Importing only its client makes no server.
  ["aiohttp", /^\s*(?:from aiohttp import .*\bweb\b|import aiohttp\.web|from aiohttp\.web import )/m],
  ["fastapi", /^\s*(?:from fastapi import|import fastapi)\b/m],
  ["starlette", /^\s*from starlette\.applications import\b/m],
  ["flask", /^\s*(?:from flask import|import flask)\b/m],
];

/** Which framework a file's application belongs to, judged by its imports. */
export function frameworkOf(text: string): Framework | undefined {
  return imports.find(([, pattern]) => pattern.test(text))?.[0];
}

/** The name of the object that the top of a file makes of one of these classes, or of the function that makes it. */
export function madeIn(text: string, classes: string[]): { name: string; called: boolean } | undefined {
  const made = new RegExp(`^(\\w+)(?:\\s*:[^=\\n]+)?\\s*=\\s*(?:[\\w.]+\\.)?(?:${classes.join("|")})\\(`, "m").exec(
    text,
  )?.[1];
  if (made !== undefined) return { name: made, called: false };
  const factory = /^(?:async )?def ((?:make|create|init|build|get)_?(?:app|application))\(/m.exec(text)?.[1];
  return factory === undefined ? undefined : { name: factory, called: true };
}

export function moduleOf(file: string): string {
  return file.replace(/\.py$/, "").replaceAll("/", ".");
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
