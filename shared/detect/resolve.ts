import { normalName } from "../dependencies/requirement.ts";
import type { ProjectFiles } from "../project-clues.ts";
import { type Application, applicationOf, applicationsIn } from "./applications.ts";
import { inProject, type Step, stepsOf } from "./command-line.ts";
import type { Candidate, Findings, FoundProcess } from "./findings.ts";
import { frameworks } from "./frameworks.ts";
import type { Sources } from "./looked-at.ts";
import { asModule, ofOwnProgram } from "./own-command.ts";
import { ofPaste } from "./paste.ts";
import { preparationOf, processOf } from "./process-command.ts";
import { PythonModules } from "./python-modules.ts";
import type { PythonModule } from "./python-scan.ts";
import { type Bind, listens, needing, ofAiohttp, scriptCandidates } from "./scripts.ts";
import { type ServerClues, serversFor } from "./server-choice.ts";
import { type ServerCommand, serverOf } from "./server-command.ts";
import { gunicornApp, uwsgiSettings } from "./server-settings.ts";

export type { Sources };

export function sourcesOf(files: ProjectFiles, clues: ServerClues, bind: Bind): Sources {
  return { files, modules: new PythonModules(files), clues, bind };
}

export interface Written {
  line: string | string[];
  /** Where it stands, in a person's words: `Procfile:1`. */
  why: string;
  variables?: Record<string, string>;
  /** The name of a process that it is, whatever it starts. */
  process?: string;
}

/** What a command that somebody wrote shows: the server, what prepares it, and processes. */
export function findingsOf({ line, why, variables, process }: Written, sources: Sources): Findings {
  const found: { unit: string | undefined; servers: Candidate[] }[] = [];
  const processes: FoundProcess[] = [];
  let release: Findings["release"];
  for (const step of stepsOf(line, sources.files, variables)) {
    const serving = process === undefined ? serversOf(step, why, sources) : undefined;
    if (serving !== undefined) {
      const settings = settingsFor(step.env.DJANGO_SETTINGS_MODULE ?? variables?.DJANGO_SETTINGS_MODULE, step, sources);
      const servers = serving.map((each) => ({ ...each, ...(settings && { env: { ...each.env, ...settings } }) }));
      found.push({ unit: step.unit, servers });
      continue;
    }
    const preparation = preparationOf(step);
    if (preparation !== undefined) release = { command: preparation, why };
    // A second server, or what only a developer runs, is no process of a release.
    else if (!harmless.has(step.program) && serverOf(step, sources.files)?.app === undefined) {
      const background = processOf(asModule(step, sources), why, process);
      if (background !== undefined) processes.push(background);
    }
  }
  const servers = mainUnits(found).flatMap((each) => each.servers);
  return { servers, processes, ...(release !== undefined && { release }) };
}

const usualUnits = /^(?:web|www|app|server|site|api|http|backend|django|flask|wsgi|asgi|gunicorn|uwsgi|uvicorn)$/i;

/** Of several programs that serve, such as `web` and `websocket`, the one with the name of the site's own. */
export function mainUnits<T extends { unit?: string | undefined; servers: Candidate[] }>(found: T[]): T[] {
  const serving = found.filter(({ servers }) => servers.length > 0);
  const usual = serving.filter(({ unit }) => unit !== undefined && usualUnits.test(unit));
  return usual.length === 1 && serving.every(({ unit }) => unit !== undefined) ? usual : found;
}

/** The settings that the server's own environment names, unless they are for developing. */
function settingsFor(module: string | undefined, { folder }: Step, { modules }: Sources) {
  if (module === undefined || forDeveloping.test(module) || modules.locate(module, [folder]) === undefined)
    return undefined;
  return { DJANGO_SETTINGS_MODULE: module };
}

/** Names of settings that no visitor should get. */
export const forDeveloping = /(?:^|[._])(?:dev|develop|development|local|test|tests|testing|debug|ci)$/;

/** What a command serves; undefined if it serves nothing. */
function serversOf(step: Step, why: string, sources: Sources): Candidate[] | undefined {
  const found = serverOf(step, sources.files);
  const candidates = found && candidatesOf(found, step, why, sources);
  if (candidates !== undefined && (candidates.length > 0 || step.program !== "python")) return candidates;
  const own = ofOwnProgram(step, why, sources);
  return own.length === 0 ? candidates : own;
}

const harmless = new Set(
  "echo set sleep mkdir ls cat test [ chmod chown rm wait exit source . pip make npm npx yarn pnpm node tailwindcss webpack docker redis-server postgres mailhog mailpit nginx".split(
    " ",
  ),
);

/** The candidates for a command: none if what it names is not in the project. */
function candidatesOf(found: ServerCommand, step: Step, why: string, sources: Sources): Candidate[] {
  if (found.script !== undefined) return ofScript(found, found.script, step, why, sources);
  if (found.kind === "command") return ofCommand(found, why, sources);
  const settings = found.settings && inProject(found.settings, { files: sources.files, folder: "" });
  if (found.kind === "uwsgi" && found.app === undefined && settings) {
    return [uwsgiSettings(settings, sources)].filter((each) => each !== undefined);
  }
  const app =
    found.app ?? (found.kind === "gunicorn" ? gunicornApp(sources.files, settings || "gunicorn.conf.py") : undefined);
  return app === undefined ? [] : ofNamed(app, settings, found, why, sources);
}

/** A line that is kept as it is: of an application that it names only the place counts. */
function ofCommand({ app, command = "", bind, paths }: ServerCommand, why: string, { modules }: Sources): Candidate[] {
  const located = app === undefined ? undefined : modules.locate(app.split(":", 1)[0] ?? "", paths);
  if (app !== undefined && located === undefined) return [];
  const env = located === undefined || located.path === "" ? {} : { env: { PYTHONPATH: located.path } };
  return [{ kind: "command", command, ...(bind !== undefined && { bind }), ...env, why: [why] }];
}

/** The application that a command names, as it can be started. */
function ofNamed(given: string, settings: string | undefined, found: ServerCommand, why: string, sources: Sources) {
  const { paths, developing, settings: _settings, script: _script, ...server } = found;
  const located = sources.modules.locate(given.split(":", 1)[0] ?? "", paths);
  if (located === undefined) return ofPackage(given, found, why, sources);
  const [app, caution] = asItIs(given, located.file, sources);
  const env = {
    ...server.env,
    ...(located.path !== "" && { PYTHONPATH: located.path }),
  };
  const own = settings !== undefined && settings !== "gunicorn.conf.py" && { config_file: settings };
  const parts = { app, ...(Object.keys(env).length > 0 && { env }), ...(caution !== undefined && { caution }) };
  const speaks = appearance(app, located.file, sources);
  // gunicorn with uvicorn's workers may say so in its settings alone.
  const other = (speaks === "asgi" || speaks === "aiohttp") && (server.kind === "gunicorn" || server.kind === "uwsgi");
  if (developing || other) return served(speaks, other ? withoutGunicorns(parts) : parts, why, sources);
  return [{ ...server, ...parts, ...own, why: [why] }];
}

/** Another server reads none of its options. */
function withoutGunicorns<T extends Pick<Candidate, "env">>({
  env = {},
  ...parts
}: T): Omit<T, "env"> & Pick<Candidate, "env"> {
  const { GUNICORN_CMD_ARGS: _, ...rest } = env;
  return { ...parts, ...(Object.keys(rest).length > 0 && { env: rest }) };
}

/** An application that a package of the requirements brings, such as `shop_server.wsgi:application`. */
function ofPackage(app: string, found: ServerCommand, why: string, { clues: { names, where } }: Sources): Candidate[] {
  const [top = ""] = app.split(/[.:]/);
  if (names?.has(normalName(top)) !== true) return [];
  const { paths: _, developing: __, settings: ___, script: ____, ...server } = found;
  return [{ ...server, app, why: [why, `${where} brings ${top}`] }];
}

/** The application as it can be started: `create_app` is a function, so it is called. */
function asItIs(app: string, file: string, { modules }: Sources): [app: string, caution?: string] {
  const [module = "", name = ""] = app.split(":");
  if (name.includes("(")) return [app];
  const factory = modules.meaning(file, name)?.factory;
  if (factory === undefined || factory.gateway !== null) return [app];
  if (modules.meaning(file, name)?.framework.speaks === "aiohttp") return [app];
  if (factory.required.length === 0) return [`${module}:${name}()`];
  return [
    app,
    needing({ app, needs: factory.required, file, line: factory.line, framework: "", speaks: "wsgi", path: "" }),
  ];
}

function appearance(app: string, file: string, { modules }: Sources): Application["speaks"] {
  const name = (app.split(":")[1] ?? "").split("(", 1).join("");
  return modules.meaning(file, name)?.framework.speaks ?? (/(?:^|\/)asgi(?:\.py|\/)/.test(file) ? "asgi" : "wsgi");
}

function served(
  speaks: Application["speaks"],
  parts: Omit<Candidate, "kind" | "why"> & { app: string },
  why: string,
  { clues }: Sources,
): Candidate[] {
  if (speaks === "aiohttp") return [{ kind: "aiohttp", ...parts, why: [why] }];
  return serversFor(speaks, parts.app, clues).map((server) => ({ ...server, ...parts, why: [why, ...server.why] }));
}

/** A project without any requirements needs the framework that its files import. */
function missingPackage(framework: string, { clues: { names, systemPackages } }: Sources): { extra?: string[] } {
  const [name] = frameworks.filter((each) => each.name === framework).flatMap(({ packages }) => packages);
  return names !== undefined || systemPackages || name === undefined ? {} : { extra: [name] };
}

/** The candidates of an application that was found in Python files. */
export function ofApplication(application: Application, sources: Sources, why?: string): Candidate[] {
  const { app, file, framework, speaks, needs, path } = application;
  const paste = framework === "Pyramid" && needs.length > 0 ? ofPaste(application, sources) : undefined;
  if (paste !== undefined) return [paste];
  const missing = missingPackage(framework, sources);
  if (speaks === "aiohttp")
    return [{ ...ofAiohttp(application, sources.modules.module(file), sources.bind), ...missing }];
  const parts = {
    app,
    ...(path !== "" && { env: { PYTHONPATH: path } }),
    ...(needs.length > 0 && { caution: needing(application) }),
  };
  return served(speaks, parts, why ?? `${file} is ${framework}`, sources).map((each) => ({
    ...each,
    ...(missing.extra && { extra: [...missing.extra, ...(each.extra ?? [])] }),
  }));
}

/** A file or a module that a command names: `flask --app shop run`, `fastapi run shop/main.py`, `python main.py`. */
function ofScript(found: ServerCommand, script: string, step: Step, why: string, sources: Sources): Candidate[] {
  const { files, modules, bind } = sources;
  const [given = "", name] = script.split(":");
  if (given === "")
    return applicationsIn(modules, files)
      .slice(0, 1)
      .flatMap((each) => ofApplication(each, sources, why));
  const file = scriptFile(given, [...found.paths, step.folder], sources);
  if (file === undefined) return [];
  if (step.program === "python") {
    const running = scriptCandidates(modules, files, file, bind);
    if (running.length > 0) return running.map((each) => ({ ...each, why: [why, ...each.why] }));
  }
  const application = applicationOf(modules, files, file);
  if (application === undefined) return step.program === "python" ? ofListener(file, step, why, sources) : [];
  if (name === undefined) return ofApplication(application, sources, why);
  // `shop:create_app('production')`
  const plain = name.split("(", 1).join("");
  const module = application.app.slice(0, application.app.indexOf(":"));
  const meaning = modules.meaning(file, plain);
  const [app, caution] = asItIs(`${module}:${name}`, file, sources);
  const { caution: _, ...rest } = {
    caution: "",
    ...(application.path !== "" && { env: { PYTHONPATH: application.path } }),
  };
  const parts = { app, ...rest, ...(caution !== undefined && { caution }) };
  return served(meaning?.framework.speaks ?? application.speaks, parts, why, sources);
}

/** A script whose framework listens by itself, such as CherryPy or Bottle: the line, or a variable, says on which port. */
export function ofListener(
  file: string,
  { args }: Pick<Step, "args">,
  why: string,
  { modules, bind }: Sources,
): Candidate[] {
  const module = modules.module(file);
  if (bind === "socket" || module === undefined || !module.runs.some(({ what }) => listening.test(what))) return [];
  const given = /^\$(?:PORT|\{PORT\})$/;
  if (args.some((word) => given.test(word))) {
    const words = args.map((word) => (given.test(word) ? "{port}" : word));
    return [{ kind: "command", command: ["python", ...words].join(" "), bind: "port", why: [why] }];
  }
  const found = listens(file, withSettings(module, modules), "port");
  if (found === undefined) return [{ ...unheard(file), why: [why] }];
  return [{ kind: "command", command: found.command, bind: "port", why: [why, found.how] }];
}

/** Its variables with those that settings which it imports read. */
function withSettings(module: PythonModule, modules: PythonModules): PythonModule {
  const names = Object.values(module.imports).map((name) => name.replace(/\.[^.]+$/, ""));
  const imported = names.flatMap((name) => modules.module(modules.locate(name)?.file ?? "")?.environ ?? []);
  return { ...module, environ: [...module.environ, ...(module.options.length > 0 ? [] : imported)] };
}

/** A script whose port is fixed: two instances cannot have it. */
function unheard(file: string): Omit<Candidate, "why"> {
  return {
    kind: "command",
    command: `env PORT={port} python ${file}`,
    bind: "port",
    caution: `${file} reads no port, so two instances would listen on the same one: let it read one, such as \`int(os.environ["PORT"])\``,
  };
}

export const listening = /^(?:cherrypy\.(?:quickstart|engine\.start)|bottle\.run)$|\.loop\.create_server$/;

function scriptFile(given: string, folders: string[], { files, modules }: Sources): string | undefined {
  if (given.includes("/") || given.endsWith(".py")) {
    const path = given.endsWith(".py") ? given : `${given}.py`;
    for (const folder of folders.filter((each) => each !== "")) {
      if (files.exists(`${folder}/${path}`)) return `${folder}/${path}`;
    }
    return inProject(path, { files, folder: "" }) ?? inProject(`${given}/__init__.py`, { files, folder: "" });
  }
  return modules.locate(
    given,
    folders.filter((each) => each !== ""),
  )?.file;
}
