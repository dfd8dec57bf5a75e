import { argv } from "./command.ts";
import type { ServerKind } from "./config-server.ts";
import {
  djangoApplications,
  frameworkOf,
  madeIn,
  moduleOf,
  type ProjectFiles,
  requirementNames,
  scriptsOf,
} from "./project-clues.ts";

/** What cutover.yml says already. Detection fills in what is missing and contradicts nothing. */
export interface GivenServer {
  kind?: ServerKind;
  app?: string;
  command?: string | string[];
  bind?: "socket" | "port";
}

export interface DetectOptions {
  /** The requirements file. */
  requirements?: string;
  /** The release sees the distribution's packages, so a server need not be among the requirements. */
  systemPackages?: boolean;
}

export interface Candidate {
  kind: ServerKind;
  app?: string;
  command?: string;
  bind?: "port";
  /** What shows it, in a person's words: `manage.py`, `requirements.txt has gunicorn`. */
  why: string[];
}

export type Detection =
  | { found: true; server: Omit<Candidate, "why">; why: string[] }
  /** No candidate, or more than one. `looked`: what was looked for, and in which files. */
  | { found: false; candidates: Candidate[]; looked: string[] };

/** What serves a project, as far as its files show it. Pure: it reads only the files that it is given. */
export function detectKind(files: ProjectFiles, given: GivenServer = {}, options: DetectOptions = {}): Detection {
  const requirements = options.requirements ?? "requirements.txt";
  const names = requirementNames(files, requirements);
  const clues = { files, names, requirements, systemPackages: options.systemPackages ?? false };
  const found = given.command === undefined ? ofProject(clues, given) : [ofCommand(clues, given.command)];
  const candidates = found.filter(({ kind }) => given.kind === undefined || kind === given.kind);
  const [first, ...others] = distinct(candidates);
  if (first === undefined || others.length > 0) {
    return { found: false, candidates: distinct(candidates), looked: lookedFor(clues) };
  }
  const { why, ...server } = first;
  return { found: true, server, why };
}

interface Clues {
  files: ProjectFiles;
  names: Set<string> | undefined;
  requirements: string;
  systemPackages: boolean;
}

function ofProject(clues: Clues, given: GivenServer): Candidate[] {
  const found = [...ofDjango(clues), ...(clues.files.exists("manage.py") ? [] : ofScripts(clues, given))];
  const { app } = given;
  if (app === undefined) return found;
  // The application is known already. Only the server is open.
  const kinds = found.length > 0 ? found : servers(clues, ["gunicorn", "uwsgi", "uvicorn"]);
  return kinds.filter(({ kind }) => kind !== "tornado").map(({ kind, why }) => ({ kind, app, why }));
}

function ofCommand({ files }: Clues, command: string | string[]): Candidate {
  const script = argv(command).find((word) => word.endsWith(".py"));
  const framework = script === undefined ? undefined : frameworkOf(files.read(script) ?? "");
  if (framework === "tornado" || framework === "aiohttp") {
    return { kind: framework, why: [`${script} imports ${framework}`] };
  }
  return { kind: "command", why: ["there is a server.command"] };
}

function ofDjango(clues: Clues): Candidate[] {
  const django = djangoApplications(clues.files);
  if (django === undefined) return [];
  const { wsgi, asgi } = django;
  return servers(clues, ["gunicorn", "uwsgi", "uvicorn"]).flatMap(({ kind, why, app: named }) => {
    const application = kind === "uvicorn" ? asgi : wsgi;
    const app = named ?? application?.app;
    if (app === undefined) return [];
    return [{ kind, app, why: ["manage.py is Django's", ...(application ? [application.file] : []), ...why] }];
  });
}

type WsgiOrAsgi = "gunicorn" | "uwsgi" | "uvicorn";

/** Which of these servers the project brings: by a file of its own, or by its requirements. */
function servers({ files, names, requirements, systemPackages }: Clues, kinds: WsgiOrAsgi[]): Candidate[] {
  const ini = kinds.includes("uwsgi") ? ["uwsgi.ini", "uWSGI.ini"].find((file) => files.exists(file)) : undefined;
  if (ini !== undefined) {
    const app = /^\s*(?:module|wsgi)\s*=\s*([\w.]+:\w+)\s*$/m.exec(files.read(ini) ?? "")?.[1];
    return [{ kind: "uwsgi", ...(app !== undefined && { app }), why: [`there is ${ini}`] }];
  }
  const named = kinds.filter((kind) => names?.has(kind) || (kind === "uwsgi" && names?.has("pyuwsgi")));
  if (named.length > 0) return named.map((kind) => ({ kind, why: [`${requirements} has ${kind}`] }));
  const [usual] = kinds;
  if (usual === undefined || (names !== undefined && !systemPackages)) return [];
  return [{ kind: usual, why: ["no requirements name a server"] }];
}

/** The top of the project comes before its folders, and wsgi.py and asgi.py come before what they import. */
function ofScripts(clues: Clues, { bind }: GivenServer): Candidate[] {
  for (const scripts of scriptsOf(clues.files)) {
    const texts = scripts.map((file) => ({ file, text: clues.files.read(file) ?? "" }));
    const gateways = texts.flatMap((script) => ofGateway(clues, script));
    const found = gateways.length > 0 ? gateways : texts.flatMap((script) => ofFramework(clues, script, bind));
    if (found.length > 0) return found;
  }
  return [];
}

interface Script {
  file: string;
  text: string;
}

function ofFramework(clues: Clues, { file, text }: Script, bind: GivenServer["bind"]): Candidate[] {
  const framework = frameworkOf(text);
  const why = [`${file} imports ${framework}`];
  switch (framework) {
    case undefined:
      return [];
    case "tornado":
    case "aiohttp": {
      const listens = commandOf(file, text, bind);
      if (listens !== undefined) {
        const { option, ...rest } = listens;
        return [{ kind: framework, ...rest, why: [...why, `it takes ${option}`] }];
      }
      const made = framework === "aiohttp" ? madeIn(text, ["Application"]) : undefined;
      return made === undefined ? [] : [{ kind: framework, app: `${moduleOf(file)}:${made.name}`, why }];
    }
    case "fastapi":
    case "starlette": {
      const made = madeIn(text, ["FastAPI", "Starlette"]);
      if (made === undefined || made.called) return [];
      return [{ kind: "uvicorn", app: `${moduleOf(file)}:${made.name}`, why }];
    }
    case "flask": {
      const made = madeIn(text, ["Flask"]);
      if (made === undefined) return [];
      const app = `${moduleOf(file)}:${made.name}${made.called ? "()" : ""}`;
      return servers(clues, ["gunicorn", "uwsgi"]).map((server) => ({ ...server, app, why: [...why, ...server.why] }));
    }
  }
}

/** wsgi.py and asgi.py, of any framework. */
function ofGateway(clues: Clues, { file, text }: Script): Candidate[] {
  const kind = /(?:^|\/)(wsgi|asgi)\.py$/.exec(file)?.[1];
  const name =
    /^(application|app)\s*=/m.exec(text)?.[1] ?? /^from .* import (?:.*\b)?(application|app)\b/m.exec(text)?.[1];
  if (kind === undefined || name === undefined) return [];
  const app = `${moduleOf(file)}:${name}`;
  const found = servers(clues, kind === "wsgi" ? ["gunicorn", "uwsgi"] : ["uvicorn"]);
  return found.map((server) => ({ ...server, app: server.app ?? app, why: [file, ...server.why] }));
}

/** How a script that listens by itself gets its address: by the option that it reads. */
function commandOf(file: string, text: string, bind: GivenServer["bind"]) {
  const takes = (option: string) =>
    text.includes(`"--${option}"`) ||
    text.includes(`'--${option}'`) ||
    new RegExp(`define\\(\\s*["']${option}["']`).test(text);
  const socket = ["path", "socket", "unix-socket", "uds"].find(takes);
  if (socket !== undefined && bind !== "port") {
    return { command: `python ${file} --${socket}={socket}`, option: `--${socket}` };
  }
  if (!takes("port") || bind === "socket") return undefined;
  return { command: `python ${file} --port={port}`, option: "--port", bind: "port" as const };
}

function distinct(candidates: Candidate[]): Candidate[] {
  const key = ({ kind, app, command }: Candidate) => JSON.stringify([kind, app, command]);
  return candidates.filter((one, index) => candidates.findIndex((other) => key(other) === key(one)) === index);
}

function lookedFor({ requirements, names }: Clues): string[] {
  const server = "gunicorn, uwsgi or uvicorn";
  return [
    "manage.py with the WSGI or ASGI application of its settings",
    "app.py, main.py, server.py, wsgi.py and asgi.py, here and one folder below, with Flask, FastAPI, Starlette, Tornado or aiohttp",
    names === undefined ? `${requirements}, which is not there` : `${server} in ${requirements}`,
    "uwsgi.ini",
  ];
}
