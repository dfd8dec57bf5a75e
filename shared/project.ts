import { argv } from "./command.ts";
import type { Config } from "./config.ts";
import { parseSource } from "./dependencies/form.ts";
import { readDependencies } from "./dependencies/read-dependencies.ts";
import { parseRequirement } from "./dependencies/requirement.ts";
import { parseToml } from "./dependencies/values.ts";
import { ownMetadata } from "./detect/own-metadata.ts";
import { hasServer } from "./detect/server-choice.ts";
import { type EnvValues, reservedNames } from "./env-file.ts";
import { asCutoverError, CutoverError } from "./errors.ts";
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
    ...unreadableToml(config, project),
    ...celeryFaults(config, project),
    ...pythonFaults(config, project),
    ...configFileFaults(config, project),
    ...errorPageFaults(config, project),
    ...reservedFaults(config.env),
    ...expressionFaults(config.env),
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

/** GitHub fills these in in a workflow, and in no other file. */
function expressionFaults(env: Config["env"]): ProjectFault[] {
  return Object.entries(env).flatMap(([name, value]) =>
    String(value).includes("${{")
      ? [
          warning(
            ["env", name],
            `the app gets the text ${value} as it stands: GitHub fills in such expressions in workflows alone. A secret is set on the host: \`cutover env set APP ${name}\``,
          ),
        ]
      : [],
  );
}

/** The server comes from the requirements, like everything else that the app imports. */
function requirementsFaults(config: Config, project: Project): ProjectFault[] {
  const { wheels, system_site_packages: system, requirements, extra = [] } = config.python;
  if (wheels === "none" || system) return [];
  const { kind } = config.server;
  const isAdded = installs(new Set(extra.map((one) => parseRequirement(one).name)), kind);
  if (!project.exists(parseSource(requirements).file)) {
    return brokenPyproject(config, project) ?? withoutRequirements(config, isAdded);
  }
  const told = dependencyFaults(requirements, project);
  if (told.some(({ severity }) => severity === "error") || isAdded) return told;
  if (installs(requirementNames(project, requirements) ?? new Set(), kind)) return told;
  const what = `${requirements} does not name ${kind}, which the instances run on; ${addServer(kind, extra)}`;
  return [...told, (isWhole(requirements, project) ? lacking(config) : warning)(["server", "kind"], what)];
}

/** One that cannot be read was not found to say what the project needs. */
function brokenPyproject({ python: { requirements } }: Config, project: Project): ProjectFault[] | undefined {
  const text = requirements === "requirements.txt" ? project.read("pyproject.toml") : undefined;
  if (text === undefined) return undefined;
  try {
    parseToml(text, "pyproject.toml");
    return undefined;
  } catch (thrown) {
    return [error(["python", "requirements"], asCutoverError(thrown).message)];
  }
}

function withoutRequirements(config: Config, isAdded: boolean): ProjectFault[] {
  const { wheels, requirements, extra = [] } = config.python;
  if (extra.length === 0 && (wheels !== undefined || requirements !== "requirements.txt")) {
    return [error(["python", "requirements"], `the project has no ${requirements}`)];
  }
  if (isAdded) return [];
  const { kind } = config.server;
  const what = `the project has no requirements.txt, so no ${kind} will be installed; ${addServer(kind, extra)}`;
  // A host may have it from its distribution: without packages the release runs on the host's Python.
  return [warning(["server", "kind"], what)];
}

/** uWSGI may be the distribution's own, and a command may start another Python: both are outside of the environment. */
function lacking({ server: { kind, command } }: Config): typeof error {
  return kind === "uwsgi" || command !== undefined ? warning : error;
}

/** The line that adds it next to what is added already. */
function addServer(kind: string, extra: string[]): string {
  return `add it there, or write \`python: { extra: [${[...extra, kind].join(", ")}] }\``;
}

/** Whether the file names all that is installed, as locks do, and files with hashes. Elsewhere a package may bring the server. */
function isWhole(requirements: string, project: Project): boolean {
  const { form, file } = parseSource(requirements);
  if (form === "requirements") return /\s--hash[= ]/.test(project.read(file) ?? "");
  return readDependencies(project, requirements)?.locked === true;
}

/** A host's own celery would start in the place of the release's, without its packages. */
function celeryFaults({ python, processes }: Config, project: Project): ProjectFault[] {
  if (python.wheels === "none" || python.system_site_packages) return [];
  const { requirements, extra = [] } = python;
  const names = requirementNames(project, requirements);
  const all = [...(names ?? []), ...extra];
  // What brings it has its name, such as django-celery-beat; flower has not.
  if (names === undefined || all.some((name) => /celery|flower/i.test(name))) return [];
  return Object.entries(processes).flatMap(([name, { command }]) => {
    const starts = /^(?:python[\d.]* -m )?celery(?: |$)/.test(argv(command).join(" "));
    const message = `${requirements} does not name celery, which this starts: add it`;
    return starts ? [warning(["processes", name, "command"], message)] : [];
  });
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
    const read = readDependencies(project, requirements);
    if (read === undefined) return notInstalled(requirements, project);
    return read.warnings.map((message) => warning(path, message));
  } catch (thrown) {
    if (!(thrown instanceof CutoverError)) throw thrown;
    return [error(path, [thrown.message, thrown.fix].filter(Boolean).join(" "))];
  }
}

/** pip installs what a requirements file names, and the project itself only if that is one of them. */
function notInstalled(requirements: string, project: Project): ProjectFault[] {
  const own = ownMetadata(project);
  const text = project.read(parseSource(requirements).file) ?? "";
  if (own === undefined || /^[ \t]*(?:-e[ \t]+|--editable[= ])?\.(?:\/|\[.*\])?[ \t]*(?:[;#].*)?\r?$/m.test(text))
    return [];
  const message = `${own.where} reads the metadata of ${own.name}, the project itself, and ${requirements} does not install that: add a line with a dot, \`.\`, to it`;
  return [warning(["python", "requirements"], message)];
}

/** Nothing that it says counts then. If it is what is installed, that is an error already. */
function unreadableToml({ python }: Config, project: Project): ProjectFault[] {
  const file = "pyproject.toml";
  const text = parseSource(python.requirements).file === file ? undefined : project.read(file);
  if (text === undefined) return [];
  try {
    parseToml(text, file);
    return [];
  } catch (thrown) {
    return [warning(["python", "requirements"], `${asCutoverError(thrown).message} Nothing in it counts.`)];
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
