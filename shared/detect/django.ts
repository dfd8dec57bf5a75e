import type { ProjectFiles } from "../project-clues.ts";
import { type Configuration, configurationOf } from "./configurations.ts";
import type { Candidate } from "./findings.ts";
import type { PythonModules } from "./python-modules.ts";
import { forDeveloping, type Sources } from "./resolve.ts";
import { serversFor } from "./server-choice.ts";
import { platformSettings } from "./sources/platforms.ts";

/** A Django project, as its manage.py, its wsgi.py and its settings show it. */
export interface Django {
  /** `manage.py`, or one folder below. */
  manage: string;
  /** The folder of manage.py, which is on Python's path when it runs; empty for the project's top. */
  path: string;
  /** The settings module that visitors get: what wsgi.py says, and only then what manage.py says. */
  settings?: {
    module: string;
    from: string;
    file?: string /** What is said there, if that is for developing. */;
    developing?: string;
    /** No file names them: people set the variable themselves. */
    unnamed?: true;
    /** The class in it that counts. */
    configuration?: Configuration;
    /** Settings for production that no file names. */
    unused?: { module: string; file: string };
  };
  wsgi?: { app: string; file: string };
  asgi?: { app: string; file: string; channels: boolean };
}

const variable = "environ.DJANGO_SETTINGS_MODULE";

/**
 * @param served whose file says which settings count, if both are there
 * @returns undefined if there is no manage.py of Django's: other frameworks use the name too
 */
export function djangoOf(
  { files, modules }: Pick<Sources, "files" | "modules">,
  served: "wsgi" | "asgi" = "wsgi",
): Django | undefined {
  const manage = manageFile(files);
  if (manage === undefined) return undefined;
  const path = manage.includes("/") ? manage.slice(0, manage.lastIndexOf("/")) : "";
  const own = modules.module(manage)?.strings[variable] ?? settingsIn(files.read(manage) ?? "");
  const packages = [own?.split(".")[0], ...packagesBelow(files, path)].filter((name) => name !== undefined);
  const look = { own, packages, path, files, modules };
  const [wsgi, asgi] = [gatewayOf("wsgi", look), gatewayOf("asgi", look)];
  const gateways = (served === "wsgi" ? [wsgi, asgi] : [asgi, wsgi]).flatMap((each) => each?.file ?? []);
  const settings = settingsFor([...gateways, manage], look);
  return {
    manage,
    path,
    ...(settings && { settings }),
    ...(wsgi && { wsgi }),
    ...(asgi && { asgi: { ...asgi, channels: usesChannels(asgi.file, modules) } }),
  };
}

/** @param places the files that may name them, the most trusted first, and manage.py last */
function settingsFor(places: string[], { own, packages, path, files, modules }: Look): Django["settings"] {
  const from = places.slice(0, -1).find((file) => settingsOf(file, modules, files) !== undefined);
  const settings = from === undefined ? own : settingsOf(from, modules, files);
  const production = settings === undefined ? undefined : productionOf(settings, path, modules);
  const unnamed = settings === undefined ? unnamedSettings(path, packages, modules) : undefined;
  const live = platformSettings(files).find(({ module }) => isLive(module, path, modules));
  const module = live?.module ?? production ?? settings ?? unnamed;
  if (module === undefined) return undefined;
  const configuration = configurationOf(module, path, places, { files, modules });
  return {
    module,
    from: live?.file ?? from ?? places.at(-1) ?? "",
    ...(live === undefined && unnamed !== undefined && { unnamed: true as const }),
    ...(live === undefined && production !== undefined && settings !== undefined && { developing: settings }),
    ...(configuration && { configuration }),
    ...unusedSettings(module, path, { files, modules }),
  };
}

/** The settings of production next to those that are for developing, which a site must not have. */
function productionOf(settings: string, path: string, modules: PythonModules): string | undefined {
  const [, base, name = ""] = /^(.*\.)?(\w+)$/.exec(settings) ?? [];
  if (!/^(?:settings_)?(?:dev|develop|development|local)(?:_\w+)?$/.test(name)) return undefined;
  const start = name.startsWith("settings_") ? "settings_" : "";
  return ["production", "prod", "product", "live", "deploy"]
    .map((other) => `${base ?? ""}${start}${other}`)
    .find((module) => modules.locate(module, [path]) !== undefined);
}

const forProduction =
  /(?:^|\/)(?:(?:settings?|conf|configs?|configuration)\/(?:\w+\/)?(?:prod|product|production|live|deploy|heroku|server)|(?:settings?|config)_(?:prod|product|production|live|deploy)|(?:prod|production|live)_settings|(?:prod|production|live)\/settings)\.py$/;

/** Settings by whose name somebody means the live site, next to the ones that are used and do not lead to them. */
function unusedSettings(
  used = "",
  path: string,
  { files, modules }: Pick<Sources, "files" | "modules">,
): Pick<NonNullable<Django["settings"]>, "unused"> {
  const chosen = modules.locate(used, [path])?.file;
  if (chosen === undefined || forProduction.test(chosen)) return {};
  const base = path === "" ? "" : `${path}/`;
  // Settings such as an __init__.py may import those of production by themselves.
  const words = new Set((files.read(chosen) ?? "").match(/\w+/g));
  const isReached = (each: string) => words.has(each.slice(each.lastIndexOf("/") + 1, -".py".length));
  const file = (files.paths?.() ?? []).find(
    (each) => each.startsWith(base) && forProduction.test(each) && hasApps(modules, each) && !isReached(each),
  );
  if (file === undefined) return {};
  const module = file.slice(base.length, -".py".length).replaceAll("/", ".");
  return { unused: { file, module } };
}

/** Settings that no file names: those for production, or the ones that all others are made from. */
function unnamedSettings(path: string, packages: string[], modules: PythonModules): string | undefined {
  const names =
    "settings.production settings.prod production.settings prod.settings settings_production settings settings.settings settings.base config.settings".split(
      " ",
    );
  return packages
    .flatMap((name) => names.map((settings) => `${name}.${settings}`))
    .find((module) => hasApps(modules, modules.locate(module, [path])?.file));
}

/** There, and not for developing. */
function isLive(module: string, path: string, modules: PythonModules): boolean {
  return !forDeveloping.test(module) && modules.locate(module, [path]) !== undefined;
}

function hasApps(modules: PythonModules, file: string | undefined): boolean {
  const found = file === undefined ? undefined : modules.module(file);
  return found !== undefined && ("ROOT_URLCONF" in found.strings || found.star.length > 0);
}

function manageFile(files: ProjectFiles): string | undefined {
  const below = (files.paths?.() ?? []).filter((path) => /^(?:[^/]+\/){1,2}manage\.py$/.test(path));
  return ["manage.py", ...below].find(
    (path) =>
      /django|execute_from_command_line/i.test(codeOf(files.read(path) ?? "")) &&
      !/flask/i.test(files.read(path) ?? ""),
  );
}

/** Without comments and texts of several lines: what only compares itself with Django is not Django's. */
function codeOf(text: string): string {
  return text.replace(/("{3}|'{3})[\s\S]*?\1/g, "").replace(/^[ \t]*#.*$/gm, "");
}

/** What an application's own file says of the settings. */
export function settingsOfApp(app: string, path: string, { modules, files }: Pick<Sources, "files" | "modules">) {
  const file = modules.locate(app.split(":", 1)[0] ?? "", [path])?.file;
  const module = file === undefined ? undefined : settingsOf(file, modules, files);
  return file === undefined || module === undefined ? undefined : { module, from: file };
}

function settingsOf(file: string, modules: PythonModules, files: ProjectFiles): string | undefined {
  return modules.module(file)?.strings[variable] ?? settingsIn(files.read(file) ?? "");
}

function settingsIn(text: string): string | undefined {
  return /DJANGO_SETTINGS_MODULE["']\s*(?:,|\]\s*=)\s*["']([\w.]+)["']/.exec(text)?.[1];
}

function packagesBelow(files: ProjectFiles, path: string): string[] {
  if (path === "") return files.folders();
  const start = `${path}/`;
  return [
    ...new Set(
      (files.paths?.() ?? []).flatMap((each) =>
        each.startsWith(start) ? (each.slice(start.length).split("/").slice(0, -1)[0] ?? []) : [],
      ),
    ),
  ];
}

interface Look {
  own: string | undefined;
  packages: string[];
  path: string;
  files: ProjectFiles;
  modules: PythonModules;
}

/** What the settings name, or the file that startproject makes. */
function gatewayOf(
  kind: "wsgi" | "asgi",
  { own, packages, path, files, modules }: Look,
): { app: string; file: string } | undefined {
  const named = own === undefined ? undefined : settingOf(own, `${kind.toUpperCase()}_APPLICATION`, path, modules);
  const cut = named?.lastIndexOf(".") ?? -1;
  if (named !== undefined && cut > 0) {
    const located = modules.locate(named.slice(0, cut), [path]);
    if (located !== undefined) return { app: `${named.slice(0, cut)}:${named.slice(cut + 1)}`, file: located.file };
  }
  const base = path === "" ? "" : `${path}/`;
  const places = [
    ...packages.flatMap((name) => [
      `${name}/${kind}.py`,
      `${name}/${kind}/__init__.py`,
      `${name}/${kind}/production.py`,
    ]),
    `${kind}.py`,
  ];
  const file = places.find((place) => files.exists(`${base}${place}`));
  if (file === undefined) return undefined;
  const module = file.replace(/(?:\/__init__)?\.py$/, "").replaceAll("/", ".");
  return { app: `${module}:application`, file: `${base}${file}` };
}

/** A text of the settings, also of those that they import with a star. */
function settingOf(module: string, name: string, path: string, modules: PythonModules, depth = 0): string | undefined {
  const file = modules.locate(module, [path])?.file;
  const found = file === undefined ? undefined : modules.module(file);
  if (found === undefined || depth > 5) return undefined;
  const own = found.strings[name];
  if (own !== undefined) return own;
  return found.star.map((star) => settingOf(star, name, path, modules, depth + 1)).find((each) => each !== undefined);
}

function usesChannels(file: string, modules: PythonModules): boolean {
  const names = Object.values(modules.module(file)?.imports ?? {});
  return names.some((name) => name.startsWith("channels.") || name.startsWith("socketio"));
}

/** WSGI is what most of Django is written for; ASGI if the project has WebSockets, or no server for the other. */
export function djangoCandidates(django: Django, { clues }: Sources): Candidate[] {
  const { asgi, manage, path } = django;
  // Without a file of its own Django's function makes the application.
  const {
    wsgi = asgi === undefined ? { app: "django.core.wsgi:get_wsgi_application()", file: "no wsgi.py" } : undefined,
  } = django;
  const servers = wsgi === undefined ? [] : serversFor("wsgi", wsgi.app, clues);
  const asgiServers = asgi === undefined ? [] : serversFor("asgi", asgi.app, clues);
  const missing = servers.every(({ extra }) => extra !== undefined);
  const wanted =
    asgi?.channels === true || wsgi === undefined || (missing && asgiServers.some(({ extra }) => extra === undefined));
  const [application, chosen] = wanted && asgi !== undefined ? [asgi, asgiServers] : [wsgi, servers];
  if (application === undefined) return [];
  return chosen.map((server) => ({
    ...server,
    app: application.app,
    ...(path !== "" && { env: { PYTHONPATH: path } }),
    why: [`${manage} is Django's`, application.file, ...server.why],
  }));
}
