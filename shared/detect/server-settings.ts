import { parse } from "yaml";
import type { ProjectFiles } from "../project-clues.ts";
import { inProject } from "./command-line.ts";
import type { Candidate } from "./findings.ts";
import { readIni } from "./ini.ts";
import type { PythonModules } from "./python-modules.ts";
import { isTable } from "./tables.ts";

/** `wsgi_app` of gunicorn.conf.py. */
export function gunicornApp(files: ProjectFiles, file: string): string | undefined {
  const app = /^wsgi_app\s*=\s*["']([\w.]+(?::[^"']+)?)["']/m.exec(files.read(file) ?? "")?.[1];
  if (app === undefined) return undefined;
  return app.includes(":") ? app : `${app}:application`;
}

const usual = [
  "uwsgi.ini",
  "uWSGI.ini",
  "uwsgi.yaml",
  "uwsgi.yml",
  "conf/uwsgi.ini",
  "config/uwsgi.ini",
  "deploy/uwsgi.ini",
  "docker/uwsgi.ini",
  "app/uwsgi.ini",
];

/** The uWSGI settings of a project: those of the usual names come first. */
export function uwsgiFiles(files: ProjectFiles): string[] {
  const others = (files.paths?.() ?? []).filter((path) => /(?:^|\/)[\w.-]*uwsgi[\w.-]*\.(?:ini|ya?ml)$/i.test(path));
  return [...new Set([...usual, ...others])].filter((path) => files.exists(path));
}

interface Look {
  files: ProjectFiles;
  modules: PythonModules;
}

/** `env` stands in a file as often as there are variables. */
const djangoSettings = /^[ \t]*env[ \t]*=[ \t]*DJANGO_SETTINGS_MODULE[ \t]*=[ \t]*([\w.]+)[ \t]*$/m;

/** What uWSGI's settings serve; undefined if they name no application that the project has. */
export function uwsgiSettings(file: string, { files, modules }: Look): Candidate | undefined {
  const values = read(file, files.read(file) ?? "");
  const get = (...names: string[]) => names.map((name) => values.get(name)).find((each) => each !== undefined);
  const place = get("chdir", "base");
  const folders = [place, get("pythonpath", "pp", "python-path")]
    .flatMap((path) => (path === undefined ? [] : [inProject(path, { files, folder: "" })]))
    .filter((path) => path !== undefined && path !== "");
  const written = get("module", "wsgi") ?? moduleOfFile(get("wsgi-file", "file"), files, modules);
  if (written === undefined) return undefined;
  const [module = "", name] = written.split(":");
  const app = `${module}:${name ?? get("callable") ?? "application"}`;
  const located = modules.locate(module, folders as string[]);
  if (located === undefined) return undefined;
  const settings = djangoSettings.exec(files.read(file) ?? "")?.[1];
  const env = {
    ...(located.path !== "" && { PYTHONPATH: located.path }),
    ...(settings !== undefined && { DJANGO_SETTINGS_MODULE: settings }),
  };
  return {
    kind: "uwsgi",
    app,
    ...(Object.keys(env).length > 0 && { env }),
    ...(hasUsualSection(file, files) && { config_file: file }),
    why: [`there is ${file}`],
  };
}

/** The file that counts for kind uwsgi if cutover.yml names none. */
export function usualUwsgiFile(files: ProjectFiles): string | undefined {
  return usual.slice(0, 4).find((file) => hasUsualSection(file, files) && read(file, files.read(file) ?? "").size > 0);
}

/** uWSGI runs a file under its own name; its module is the same. */
function moduleOfFile(path: string | undefined, files: ProjectFiles, modules: PythonModules): string | undefined {
  const file = path === undefined ? undefined : inProject(path, { files, folder: "" });
  if (file === undefined) return undefined;
  return modules.module(file)?.module ?? file.replace(/\.py$/, "").replaceAll("/", ".");
}

/** The keys of `[uwsgi]`, placeholders filled as far as the file itself fills them. */
function read(file: string, text: string): Map<string, string> {
  const values = /\.ya?ml$/.test(file) ? ofYaml(text) : readIni(text).find(({ name }) => name === "uwsgi")?.values;
  const found = values ?? new Map<string, string>();
  const filled = new Map<string, string>();
  for (const [key, value] of found) {
    filled.set(
      key,
      value.replace(/%\(([\w-]+)\)|\$\((\w+)\)/g, (whole, name = "") => filled.get(name) ?? whole),
    );
  }
  return filled;
}

/** uWSGI reads no other section of a file that it is only given by name. */
function hasUsualSection(file: string, files: ProjectFiles): boolean {
  return !/\.ya?ml$/.test(file) || /^uwsgi:/m.test(files.read(file) ?? "");
}

function ofYaml(text: string): Map<string, string> {
  try {
    const value: unknown = parse(text);
    const sections = isTable(value) ? Object.values(value).filter(isTable) : [];
    const inner = isTable(value)
      ? (value.uwsgi ?? sections.find((each) => "module" in each || "wsgi-file" in each))
      : {};
    return new Map(Object.entries((inner ?? {}) as object).map(([key, each]) => [key, String(each)]));
  } catch {
    return new Map();
  }
}
