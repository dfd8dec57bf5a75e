import { argv } from "./command.ts";
import type { Config } from "./config.ts";
import { type EnvValues, reservedNames } from "./env-file.ts";
import type { YamlPath } from "./yaml-faults.ts";

/** A project's files, by paths relative to it. */
export interface Project {
  exists(path: string): boolean;
  /** undefined where there is no such file. */
  read(path: string): string | undefined;
  /** Names of the folders at its top, in their order. */
  folders(): string[];
}

/** What shows only beside the project. A warning may be well meant; an error cannot work. */
export interface ProjectFault {
  severity: "error" | "warning";
  /** The key that it is about. */
  path: YamlPath;
  message: string;
}

/** All that a checked configuration gets wrong about the project. Runs nothing. */
export function projectFaults(config: Config, project: Project): ProjectFault[] {
  return [
    ...serverAppFaults(config, project),
    ...commandFaults(config, project),
    ...staticFaults(config, project),
    ...requirementsFaults(config, project),
    ...errorPageFaults(config, project),
    ...reservedFaults(config.env),
  ];
}

const error = (path: YamlPath, message: string): ProjectFault => ({ severity: "error", path, message });
const warning = (path: YamlPath, message: string): ProjectFault => ({ severity: "warning", path, message });

/**
 * A module that comes from the requirements cannot be looked at, so only a package of the project, or a project without
 * requirements, can be found wanting.
 */
function serverAppFaults(config: Config, project: Project): ProjectFault[] {
  const { app } = config.server;
  if (app === undefined) return [];
  const [module = "", attribute = ""] = app.replace(/\(.*$/, "").split(":");
  const stem = module.replaceAll(".", "/");
  const candidates = [`${stem}.py`, `${stem}/__init__.py`];
  const found = candidates.find((path) => project.exists(path));
  const path = ["server", "app"];
  if (found === undefined) {
    const top = module.split(".", 1)[0] ?? "";
    const own = project.exists(top) || project.exists(`${top}.py`);
    if (!own && mayComeFromElsewhere(config, project)) return [];
    return [error(path, `${app}: the project holds neither ${candidates.join(" nor ")}`)];
  }
  const name = attribute.split(".", 1)[0] ?? "";
  // A star import or a module's __getattr__ can supply any name.
  if (new RegExp(`(?<!\\w)${name}(?!\\w)|import \\*|def __getattr__`).test(project.read(found) ?? "")) return [];
  return [error(path, `${app}: ${found} has no \`${name}\``)];
}

function mayComeFromElsewhere({ python }: Config, project: Project): boolean {
  return python.system_site_packages || (python.wheels !== "none" && project.exists(python.requirements));
}

/** Of a command that starts Python on a file of the project, that file. */
function commandFaults(config: Config, project: Project): ProjectFault[] {
  const commands: [YamlPath, string | string[] | undefined][] = [
    [["server", "command"], config.server.command],
    [["release", "command"], config.release?.command],
    ...config.static.map(({ collect }, index): [YamlPath, typeof collect] => [["static", index, "collect"], collect]),
    ...Object.entries(config.processes).map(([name, { command }]): [YamlPath, typeof command] => [
      ["processes", name, "command"],
      command,
    ]),
  ];
  return commands.flatMap(([path, command]) => {
    const [program = "", script = ""] = command === undefined ? [] : argv(command);
    const own = /^python[\d.]*$/.test(program) && /^[^-{/][^{]*\.py$/.test(script);
    return own && !project.exists(script) ? [error(path, `the project holds no ${script}`)] : [];
  });
}

function staticFaults(config: Config, project: Project): ProjectFault[] {
  return config.static.flatMap(({ from, collect }, index) => {
    const path = ["static", index, "from"];
    if (/^(?:\.\/*)+$/.test(from))
      return [error(path, "is the whole project; name the folder of the static files alone")];
    if (collect !== undefined || project.exists(from)) return [];
    return [
      error(path, `the project has no folder ${from}; correct it, or give the command that makes it as \`collect\``),
    ];
  });
}

/** The server comes out of the requirements, as everything else that the app imports. */
const packages = {
  gunicorn: /^gunicorn\b/im,
  uwsgi: /^(?:py)?uwsgi\b/im,
  tornado: /^tornado\b/im,
  aiohttp: /^aiohttp\b/im,
  uvicorn: /^uvicorn\b/im,
} as const;

function requirementsFaults({ python, server }: Config, project: Project): ProjectFault[] {
  if (python.wheels === "none" || python.system_site_packages) return [];
  const text = project.read(python.requirements);
  if (text === undefined) {
    if (python.wheels !== undefined || python.requirements !== "requirements.txt") {
      return [error(["python", "requirements"], `the project has no ${python.requirements}`)];
    }
    return server.kind === "command"
      ? []
      : [warning(["server", "kind"], `the project has no requirements.txt, so ${server.kind} will not be installed`)];
  }
  // What another file brings in is not read here.
  const known = server.kind === "command" || /^\s*-/m.test(text) || packages[server.kind].test(text);
  return known
    ? []
    : [warning(["server", "kind"], `${python.requirements} does not name ${server.kind}, which the instances run on`)];
}

function errorPageFaults({ site }: Config, project: Project): ProjectFault[] {
  const page = site === "none" ? undefined : site.error_page;
  return page === undefined || project.exists(page)
    ? []
    : [error(["site", "error_page"], `the project has no ${page}`)];
}

function reservedFaults(env: EnvValues): ProjectFault[] {
  const names = Object.keys(env).filter(
    (name) => name.startsWith("CUTOVER_") || (reservedNames as readonly string[]).includes(name),
  );
  return names.map((name) => warning(["env", name], "has no effect: cutover sets it itself"));
}
