import type { Config } from "./config.ts";
import { parseSource } from "./dependencies/form.ts";
import { readDependencies } from "./dependencies/read-dependencies.ts";
import { parseRequirement } from "./dependencies/requirement.ts";
import { hasServer } from "./detect/server-choice.ts";
import { type EnvValues, reservedNames } from "./env-file.ts";
import { CutoverError } from "./errors.ts";
import { type ProjectFiles, requirementNames } from "./project-clues.ts";
import { commandFaults } from "./project-commands.ts";
import { projectHints } from "./project-hints.ts";
import { admitsPython, requiredPython } from "./python-version.ts";
import { missingServerApp } from "./server-app.ts";
import { timeoutHints } from "./timeouts.ts";
import type { YamlPath } from "./yaml-faults.ts";

/** A project's files. `exists` says yes to folders too. */
export type Project = ProjectFiles;

/**
 * A fault that shows only when the configuration is compared with the project. A warning may be intended; an error
 * cannot work.
 */
export interface ProjectFault {
  severity: "error" | "warning";
  /** The key that it is about. */
  path: YamlPath;
  message: string;
}

/** Everything that a valid configuration gets wrong about the project. Runs nothing. */
export function projectFaults(config: Config, project: Project): ProjectFault[] {
  return [
    ...serverAppFaults(config, project),
    ...commandFaults(config, project).map(({ path, message }) => error(path, message)),
    ...staticFaults(config, project),
    ...requirementsFaults(config, project),
    ...pythonFaults(config, project),
    ...configFileFaults(config, project),
    ...errorPageFaults(config, project),
    ...reservedFaults(config.env),
    ...projectHints(config, project),
    ...timeoutHints(config, project),
  ];
}

const error = (path: YamlPath, message: string): ProjectFault => ({ severity: "error", path, message });
const warning = (path: YamlPath, message: string): ProjectFault => ({ severity: "warning", path, message });

function serverAppFaults(config: Config, project: Project): ProjectFault[] {
  const missing = missingServerApp(config, project);
  if (missing === undefined) return [];
  const message =
    missing.what === "module"
      ? `${missing.app}: the project has neither ${missing.candidates.join(" nor ")}`
      : `${missing.app}: ${missing.file} has no \`${missing.name}\``;
  return [error(["server", "app"], message)];
}

function staticFaults(config: Config, project: Project): ProjectFault[] {
  return config.static.flatMap(({ url, from, collect, fallback }, index) => {
    const path = ["static", index, "from"];
    if (/^(?:\.\/*)+$/.test(from))
      return [error(path, "is the whole project; name the folder of the static files alone")];
    if (collect !== undefined) return [];
    const page = fallback === undefined ? undefined : `${from.replace(/\/+$/, "")}/${fallback}`;
    if (project.exists(from)) {
      const none = page !== undefined && !project.exists(page);
      return none ? [error(["static", index, "fallback"], `the project has no ${page}`)] : [];
    }
    const what = url.endsWith("/") ? "folder" : "file";
    return [
      error(path, `the project has no ${what} ${from}; correct it, or give the command that makes it as \`collect\``),
    ];
  });
}

/** The server comes from the requirements, like everything else that the app imports. */
function requirementsFaults({ python, server }: Config, project: Project): ProjectFault[] {
  if (python.wheels === "none" || python.system_site_packages) return [];
  const { requirements, extra = [] } = python;
  const { kind } = server;
  const extraNames = new Set(extra.map((one) => parseRequirement(one).name));
  if (!project.exists(parseSource(requirements).file)) {
    if (extra.length === 0 && (python.wheels !== undefined || requirements !== "requirements.txt")) {
      return [error(["python", "requirements"], `the project has no ${requirements}`)];
    }
    return installs(extraNames, kind)
      ? []
      : [warning(["server", "kind"], `the project has no requirements.txt, so ${kind} will not be installed`)];
  }
  const told = dependencyFaults(requirements, project);
  if (told.some(({ severity }) => severity === "error") || installs(extraNames, kind)) return told;
  if (installs(requirementNames(project, requirements) ?? new Set(), kind)) return told;
  return [...told, warning(["server", "kind"], `${requirements} does not name ${kind}, which the instances run on`)];
}

/** Whether the server is among the packages. A command may start anything. */
function installs(names: Set<string>, kind: Config["server"]["kind"]): boolean {
  // Tornado and aiohttp are libraries, and a server of their own.
  if (kind === "tornado" || kind === "aiohttp") return names.has(kind);
  return hasServer(kind, { names, where: "", systemPackages: false, websockets: false });
}

/** What is wrong with the file itself. */
function dependencyFaults(requirements: string, project: Project): ProjectFault[] {
  const path = ["python", "requirements"];
  const phantom = /^pkg[-_]resources==0\.0\.0[ \t]*$/im.exec(project.read(parseSource(requirements).file) ?? "");
  if (phantom !== null) {
    const message = `${requirements} has ${phantom[0]}, which is no package: Debian's and Ubuntu's \`pip freeze\` wrote it by mistake. Remove the line`;
    return [error(path, message)];
  }
  try {
    return (readDependencies(project, requirements)?.warnings ?? []).map((message) => warning(path, message));
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    return [error(path, [thrown.message, thrown.fix].filter(Boolean).join(" "))];
  }
}

/** The hosts run what `python.version` says, whatever the project requires. */
function pythonFaults(config: Config, project: Project): ProjectFault[] {
  return [...tooOldForPip(config, project), ...unlikeRequired(config, project)];
}

/** The first minor version of Python 3 that has the pip (22.3) with which hosts install. */
const firstWithPip = 7;

function tooOldForPip({ python }: Config, project: Project): ProjectFault[] {
  const { version = "3.99", wheels, requirements = "requirements.txt", extra = [] } = python;
  if (wheels === "none" || Number(version.split(".")[1]) >= firstWithPip) return [];
  if (extra.length === 0 && !project.exists(parseSource(requirements).file)) return [];
  const message = `${version} cannot install requirements: hosts install with pip 22.3, which needs Python 3.${firstWithPip}. Take a later Python; or install the packages on the host, and write \`wheels: none\` and \`system_site_packages: true\``;
  return [error(["python", "version"], message)];
}

function unlikeRequired({ python }: Config, project: Project): ProjectFault[] {
  const required = requiredPython(project);
  if (required === undefined || python.version === undefined) return [];
  if (admitsPython(required.range, python.version)) return [];
  return [warning(["python", "version"], `is ${python.version}, but ${required.file} requires ${required.range}`)];
}

function configFileFaults({ server: { config_file: file } }: Config, project: Project): ProjectFault[] {
  if (file === undefined || project.exists(file)) return [];
  return [error(["server", "config_file"], `the project has no ${file}`)];
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
