import type { ProjectFiles } from "../project-clues.ts";
import { frameworks, type Speaks } from "./frameworks.ts";
import type { Meaning, PythonModules } from "./python-modules.ts";
import type { PythonModule } from "./python-scan.ts";

/** An application that a project's Python files make. */
export interface Application {
  /** `shop.main:app`, or `shop:create_app()`. */
  app: string;
  file: string;
  line: number;
  /** `Flask`. */
  framework: string;
  speaks: Speaks;
  /** Parameters that must be given to the function that makes it. */
  needs: string[];
  /** The folder that must be on Python's path; empty for the project's top. */
  path: string;
}

interface Ranked extends Application {
  /** Smaller is likelier; the numbers are compared from left to right. */
  rank: number[];
}

const usualFiles =
  /(?:^|\/)(?:wsgi|asgi|app|main|server|application|run|api|web|site|index|manage|__init__|start|backend|webapp)\.py$/;
const usualNames = ["application", "app", "server", "api", "asgi_app", "wsgi_app"];
const usualFactories = /^(?:create|make|build|init|get|setup|new)_?(?:wsgi_|asgi_)?(?:app|application|server|api)?$/;

const classes = new Set(frameworks.flatMap(({ makes }) => makes));

/**
 * The applications in a project's Python files. The first is the likeliest; others that are as likely come with it.
 */
export function applicationsIn(modules: PythonModules, files: ProjectFiles): Application[] {
  const all = Object.entries(modules.scan.modules);
  const outer = all.flatMap(([file, module]) => inModule(modules, files, file, module));
  // Applications that contain each other are none of the usual kind: then all of them count.
  const found =
    outer.length > 0 ? outer : all.flatMap(([file, module]) => inModule(modules, files, file, module, true));
  const sorted = found.toSorted((a, b) => compare(a.rank, b.rank));
  const [first] = sorted;
  if (first === undefined) return [];
  return sorted
    .filter(({ rank }) => compare(rank, first.rank) === 0)
    .map(({ rank: _, ...application }) => withLayout(application, modules, files));
}

/** Dash's pages are often laid out in another file, which imports the application and its server: that file makes it whole. */
function withLayout(application: Application, modules: PythonModules, files: ProjectFiles): Application {
  const lays = (file: string) => /^[ \t]*\w+\.layout[ \t]*=/m.test(files.read(file) ?? "");
  const module = modules.module(application.file);
  const usesDash = Object.values(module?.imports ?? {}).some((name) => /^dash(?:\.|$)|^dash_extensions/.test(name));
  if (!usesDash || lays(application.file)) return application;
  for (const [file, other] of Object.entries(modules.scan.modules)) {
    const server = nameIn(application.app);
    const imported = `${module?.module}.${server}`;
    if (file === application.file || folderOf(file) !== folderOf(application.file) || !lays(file)) continue;
    const [name] = Object.entries(other.imports).find(([, each]) => each === imported) ?? [];
    const assigned = other.assigned.find(({ value }) => value.name?.endsWith(".server") === true)?.name;
    const found = name ?? assigned;
    if (found !== undefined) return { ...application, app: `${dottedIn(file, application.path)}:${found}`, file };
  }
  return application;
}

const folderOf = (file: string) => file.slice(0, file.lastIndexOf("/") + 1);

/** The application of one file; undefined if it makes none. */
export function applicationOf(modules: PythonModules, files: ProjectFiles, file: string): Application | undefined {
  const module = modules.module(file);
  const inFile = (inner: boolean) => (module === undefined ? [] : inModule(modules, files, file, module, inner));
  const [found] = [...inFile(false), ...inFile(true)];
  if (found === undefined) return undefined;
  const { rank: _, ...application } = found;
  return application;
}

function compare(a: number[], b: number[]): number {
  return a.map((each, index) => each - (b[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** @param inner also what another application contains */
function inModule(
  modules: PythonModules,
  files: ProjectFiles,
  file: string,
  module: PythonModule,
  inner = false,
): Ranked[] {
  // The class that makes applications is none itself, though a file such as asgi.py imports it.
  const imported = Object.keys(module.imports).filter((name) => !classes.has(module.imports[name] ?? ""));
  const names = [...new Set([...module.assigned.map(({ name }) => name), ...imported])];
  const counts = (name: string) => inner || !modules.isInner(file, name);
  const objects = names.filter(counts).flatMap((name) => ofName(modules, files, file, module, name));
  const best = preferred(objects.filter((each) => !isImported(module, each.app) || isGateway(file)));
  if (best !== undefined) return [best];
  const given = ran(module);
  const used = completed(module);
  const functions = module.functions
    .map(({ name }) => name)
    .filter((name) => counts(name) && (given.includes(name) || !used.has(name)));
  const factories = functions.flatMap((name) => ofName(modules, files, file, module, name));
  const factory = factories.find(({ app }) => given.includes(nameIn(app))) ?? preferred(factories);
  return factory === undefined ? [] : [factory];
}

/** Functions whose application another function of the file takes, adds something to, and returns; tests have their own. */
function completed({ module, functions }: PythonModule): ReadonlySet<string> {
  const whole = functions.filter(
    ({ name, required }) => required.length === 0 && !/test|dev|debug|mock|fake|local/i.test(name),
  );
  const names = whole.flatMap(({ name, returns }) =>
    returns
      .flatMap(({ call }) => (call == null ? [] : [call.replace(`${module}.`, "")]))
      .filter((each) => each !== name),
  );
  return new Set(names);
}

/** The names that a script gives to what starts it: `run_app(init())`. */
function ran(module: PythonModule): string[] {
  return module.runs.flatMap(({ what, args }) => {
    if (!/(?:^|\.)(?:run_app|run|serve|run_simple|WSGIServer|make_server)$/.test(what)) return [];
    return args.flatMap((arg) => {
      const name = arg?.call ?? arg?.name;
      return name == null ? [] : [name.slice(name.lastIndexOf(".") + 1)];
    });
  });
}

const nameIn = (app: string) =>
  app
    .slice(app.indexOf(":") + 1)
    .split("(", 1)
    .join("");

function isImported(module: PythonModule, app: string): boolean {
  return !module.assigned.some(({ name }) => name === nameIn(app));
}

export function isGateway(file: string): boolean {
  return /(?:^|\/)(?:wsgi|asgi|passenger_wsgi)\.py$/.test(file);
}

function preferred(found: Ranked[]): Ranked | undefined {
  const weight = ({ app, framework }: Ranked) => {
    const name = nameIn(app);
    // Dash is served by its Flask, which is called `server`.
    if (name === "server" && framework === "Flask") return -1;
    const index = usualNames.indexOf(name);
    if (index >= 0) return index;
    return usualFactories.test(name) ? usualNames.length : usualNames.length + 1;
  };
  return found.toSorted((a, b) => weight(a) - weight(b))[0];
}

function ofName(
  modules: PythonModules,
  files: ProjectFiles,
  file: string,
  module: PythonModule,
  name: string,
): Ranked[] {
  const meaning = modules.meaning(file, name);
  if (meaning === undefined || (name.startsWith("_") && meaning.factory !== undefined)) return [];
  const { framework, factory } = meaning;
  // What only happens to return an application: `get_config(app)`, a test's fixture, a view.
  if (factory !== undefined && !isFactory(meaning, module)) return [];
  const path = pathOf(files, file, module);
  const dotted = dottedIn(file, path);
  const aiohttp = framework.speaks === "aiohttp";
  const needs = factory === undefined ? [] : missing(factory.required, aiohttp);
  const called = factory === undefined || aiohttp ? "" : "()";
  const line = factory?.line ?? module.assigned.find((each) => each.name === name)?.line ?? 1;
  return [
    {
      app: `${dotted}:${name}${called}`,
      file,
      line,
      framework: framework.name,
      speaks: framework.speaks,
      needs,
      path,
      rank: [
        isGateway(file) ? 0 : 1,
        rankOfKind(factory === undefined, needs),
        rankOfPlace(files, file),
        usualFiles.test(file) ? 0 : 1,
      ],
    },
  ];
}

function isFactory({ factory, framework }: Meaning, { functions }: PythonModule): boolean {
  if (factory === undefined) return false;
  if (factory.decorators.some((name) => /fixture|route|command|contextmanager/.test(name ?? ""))) return false;
  if (framework.name === "WSGI" || framework.name === "ASGI") return usualFactories.test(factory.name);
  // A function that only passes on what it is given is a helper.
  if (factory.required.some((name) => name === "app" || name === "self")) return false;
  return usualFactories.test(factory.name) || functions.length < 40;
}

/** aiohttp's own way is a function that takes the arguments of the command line. Pyramid's are given by cutover. */
function missing(required: string[], aiohttp: boolean): string[] {
  return aiohttp && required.length === 1 && /^(?:argv|args|_)$/.test(required[0] ?? "") ? [] : required;
}

function rankOfKind(isObject: boolean, needs: string[]): number {
  if (isObject) return 0;
  return needs.length === 0 ? 1 : 2;
}

/** The top and src come first, then packages, then folders that are none. */
function rankOfPlace(files: ProjectFiles, file: string): number {
  const parts = file.replace(/^src\//, "").split("/");
  if (parts.length === 1) return 0;
  const isPackage = files.exists(`${file.slice(0, file.lastIndexOf("/"))}/__init__.py`);
  return parts.length - 1 + (isPackage ? 0 : 0.5);
}

/** The folder that has to be on Python's path for a file. From the project's top, Python finds folders without __init__.py too. */
function pathOf(files: ProjectFiles, file: string, { imports }: PythonModule): string {
  const folders = file.split("/").slice(0, -1);
  const [top = ""] = folders;
  if (top === "") return "";
  const names = Object.values(imports).map((name) => name.split(".", 1)[0] ?? "");
  const isThere = (place: string) => isModule(files, place);
  const bare = names.some((name) => isThere(`${top}/${name}`) && !isThere(name));
  const above = names.some((name) => name === top);
  // Also in a package: an __init__.py changes nothing for a script that is run next to it.
  if (files.exists(`${top}/__init__.py`)) return bare && !above && folders.length === 1 ? top : "";
  if (isRunInFolder(files, folders, names)) return folders.join("/");
  if (top === "src") return names.includes("src") ? "" : sourceRoot(files, folders);
  // A script in such a folder imports what lies next to it by its bare name.
  return bare || (!above && isProject(files, top)) ? top : "";
}

/** `src`, or the folder in it that holds the package: `src/py`. */
function sourceRoot(files: ProjectFiles, [top = "", next, inner]: string[]): string {
  if (next === undefined || inner === undefined || files.exists(`${top}/${next}/__init__.py`)) return top;
  return files.exists(`${top}/${next}/${inner}/__init__.py`) ? `${top}/${next}` : top;
}

/** A script far below that imports what lies next to it, and nowhere above, is run in its own folder. */
function isRunInFolder(files: ProjectFiles, folders: string[], names: string[]): boolean {
  const folder = folders.join("/");
  if (folders.length < 3 || files.exists(`${folder}/__init__.py`)) return false;
  const above = folders.map((_, depth) => folders.slice(0, depth).join("/"));
  return names.some((name) => isThereIn(files, folder, name) && !above.some((place) => isThereIn(files, place, name)));
}

/** Also a folder of modules that is no package. */
function isThereIn(files: ProjectFiles, folder: string, name: string): boolean {
  const place = folder === "" ? name : `${folder}/${name}`;
  return isModule(files, place) || (files.paths?.() ?? []).some((path) => path.startsWith(`${place}/`));
}

function isModule(files: ProjectFiles, place: string): boolean {
  return files.exists(`${place}.py`) || files.exists(`${place}/__init__.py`);
}

/** It has requirements of its own. */
function isProject(files: ProjectFiles, folder: string): boolean {
  return ["requirements.txt", "pyproject.toml", "Pipfile"].some((name) => files.exists(`${folder}/${name}`));
}

function dottedIn(file: string, path: string): string {
  const inside = path === "" ? file : file.slice(path.length + 1);
  return inside
    .replace(/\.py$/, "")
    .replace(/\/__init__$/, "")
    .replaceAll("/", ".");
}
