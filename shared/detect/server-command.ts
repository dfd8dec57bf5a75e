import type { ServerKind } from "../config-server.ts";
import type { ProjectFiles } from "../project-clues.ts";
import { inProject, type Step } from "./command-line.ts";
import type { Candidate } from "./findings.ts";

/** What a command line starts: the server and its application, as it was written. */
export interface ServerCommand extends Omit<Candidate, "why"> {
  /** It is for developing (`flask run`, `--reload`): its application counts, its server does not. */
  developing?: boolean;
  /** Folders that the command puts on Python's path. */
  paths: string[];
  /** The application as the command names it, if it is one that has to be looked at first: a file or a module alone. */
  script?: string;
  /** The command reads this file for the rest. */
  settings?: string;
}

interface Options {
  /** The words that are no options and no values of options. */
  plain: string[];
  /** By name without dashes; the last one counts. */
  named: Map<string, string>;
}

/** Options of these servers that take no value. All others do. */
const flags = new Set(
  "reload preload factory call daemon D no-access-log access-log proxy-headers lifespan-on use-colors no-server-header debug no-debug dev fast single-process no-reload with-threads without-threads expose-tracebacks master enable-threads vacuum die-on-term need-app no-default-config log-request-line http2 motd no-motd noisy-exceptions reuse-port no-sendfile statsd no-control-socket no-ipv6 log-to-stdout".split(
    " ",
  ),
);

export function optionsOf(args: string[]): Options {
  const named = new Map<string, string>();
  const plain: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? "";
    const [, long, value] = /^--?([A-Za-z][\w.-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (long === undefined) plain.push(word);
    else if (value !== undefined) named.set(long, value);
    else if (/^-[a-z]\d+$/.test(word)) named.set(word.slice(1, 2), word.slice(2));
    else if (flags.has(long) || (args[index + 1] ?? "-").startsWith("--")) named.set(long, "");
    else named.set(long, args[++index] ?? "");
  }
  return { plain, named };
}

type Reader = (options: Options, step: Step) => ServerCommand | undefined;

const pick = ({ named }: Options, ...names: string[]) => names.map((name) => named.get(name)).find((each) => each);
const number = (text: string | undefined) => (/^[1-9]\d?$/.test(text ?? "") ? Number(text) : undefined);

/** What of gunicorn's options has no key in cutover.yml goes to it by its own variable. */
const gunicornKept = [
  "timeout",
  "max-requests",
  "max-requests-jitter",
  "keep-alive",
  "graceful-timeout",
  "worker-connections",
  "limit-request-line",
  "worker-tmp-dir",
];

function gunicorn(options: Options, { env }: Step): ServerCommand | undefined {
  const { named, plain } = options;
  const workerClass = pick(options, "k", "worker-class") ?? "sync";
  const common = {
    ...(number(pick(options, "w", "workers")) !== undefined && {
      workers: number(pick(options, "w", "workers")) as number,
    }),
    paths: [pick(options, "chdir"), pick(options, "pythonpath")].filter((path) => path !== undefined),
  };
  const paste = pick(options, "paste", "paster");
  const settings = pick(options, "c", "config")?.replace(/^file:/, "");
  if (paste !== undefined) return { kind: "command", command: pasteCommand(paste, settings), paths: [] };
  if (/uvicorn|asgi/i.test(workerClass)) return { kind: "uvicorn", ...app(plain[0]), ...common };
  if (/^sanic\./.test(workerClass) && app(plain[0]).app !== undefined)
    return ofOwnWorkers(workerClass, plain[0] ?? "", common.paths);
  const threads = number(named.get("threads"));
  const kept = gunicornKept.flatMap((name) => (named.get(name) ? [`--${name} ${named.get(name)}`] : []));
  if (workerClass !== "sync") kept.unshift(`--worker-class ${workerClass}`);
  if (named.has("preload")) kept.push("--preload");
  const variable = env.GUNICORN_CMD_ARGS ?? kept.join(" ");
  return {
    kind: "gunicorn",
    ...app(plain[0]),
    ...common,
    ...(threads !== undefined && { threads }),
    ...(variable !== "" && { env: { GUNICORN_CMD_ARGS: variable } }),
    ...(settings !== undefined && settings !== "" && { settings }),
    ...(named.has("reload") && { developing: true }),
  };
}

const everyInstance = "--bind unix:{socket} --umask 0 --workers {workers}";

/** @param settings gunicorn's own file, which the options overrule */
export function pasteCommand(file: string, settings = ""): string {
  const own = settings === "" || settings.startsWith("/") ? "" : ` --config ${settings}`;
  return `gunicorn --paste ${file}${own} ${everyInstance}`;
}

/** gunicorn with workers that a framework brings: the application speaks neither WSGI nor, in older versions, ASGI. */
function ofOwnWorkers(workers: string, named: string, paths: string[]): ServerCommand {
  return {
    kind: "command",
    ...app(named),
    command: `gunicorn --worker-class ${workers} ${everyInstance} ${named}`,
    paths,
  };
}

/** `shop.wsgi` alone means its `application`. */
function app(text: string | undefined): { app?: string } {
  if (text === undefined || !/^[A-Za-z_][\w.]*(?::[A-Za-z_][\w.]*(?:\(.*\))?)?$/.test(text)) return {};
  return { app: text.includes(":") ? text : `${text}:application` };
}

const asgi =
  (kind: ServerKind): Reader =>
  (options) => {
    const { named, plain } = options;
    const found = app(plain[0]?.replace(/^asgi:/, "")).app;
    const called = found !== undefined && named.has("factory") && !found.endsWith(")") ? `${found}()` : found;
    const workers = kind === "daphne" ? undefined : number(pick(options, "workers", "w"));
    return {
      kind,
      ...(called !== undefined && { app: called }),
      ...(workers !== undefined && { workers }),
      paths: [named.get("app-dir")].filter((path) => path !== undefined),
      ...(named.has("reload") && { developing: true }),
    };
  };

const granian: Reader = (options, step) => {
  const found = asgi("granian")(options, step);
  const spoken = options.named.get("interface");
  if (found === undefined) return undefined;
  if (spoken === "wsgi" || spoken === "rsgi" || spoken === "asgi") return { ...found, interface: spoken };
  return spoken === undefined ? { ...found, interface: "rsgi" } : found;
};

const waitress: Reader = (options) => {
  const found = app(options.plain[0]).app;
  const called = found !== undefined && options.named.has("call") ? `${found}()` : found;
  return {
    kind: "waitress",
    ...(called !== undefined && { app: called }),
    threads: number(options.named.get("threads")) ?? 4,
    paths: [],
  };
};

const uwsgi: Reader = (options) => {
  const { plain } = options;
  const settings = pick(options, "ini", "yaml", "yml") ?? plain.find((word) => /\.(?:ini|ya?ml)$/.test(word));
  const module = pick(options, "module", "w", "wsgi", "mount")?.replace(/^.*=/, "");
  const script = pick(options, "wsgi-file", "file");
  const callable = pick(options, "callable") ?? "application";
  return {
    kind: "uwsgi",
    ...(module !== undefined && { app: module.includes(":") ? module : `${module}:${callable}` }),
    ...(script !== undefined && { app: `${moduleOfScript(script)}:${callable}` }),
    ...(settings !== undefined && { settings }),
    paths: [pick(options, "chdir"), pick(options, "pythonpath", "pp")].filter((path) => path !== undefined),
  };
};

const flask: Reader = (options, { env }) => {
  const { plain } = options;
  if (!plain.includes("run")) return undefined;
  return { kind: "gunicorn", developing: true, paths: [], script: pick(options, "app", "A") ?? env.FLASK_APP ?? "" };
};

const fastapi: Reader = ({ plain }) => {
  if (plain[0] !== "run" && plain[0] !== "dev") return undefined;
  return { kind: "uvicorn", paths: [], script: plain[1] ?? "" };
};

const runWithApp: Reader = (options) => {
  const given = pick(options, "app", "A") ?? options.plain.find((word) => word.includes(":"));
  return { kind: "uvicorn", paths: [], ...(given !== undefined ? app(given) : { script: "" }) };
};

const sanic: Reader = ({ plain, named }) => {
  const [given = ""] = plain;
  const found = app(given.includes(":") ? given : given.replace(/\.(\w+)$/, ":$1")).app;
  return {
    kind: "uvicorn",
    paths: [],
    ...(found !== undefined && { app: named.has("factory") ? `${found}()` : found }),
  };
};

export function streamlitCommand(script: string): string {
  return `streamlit run ${script} --server.address 127.0.0.1 --server.port {port} --server.headless true`;
}

const streamlit: Reader = ({ plain }) =>
  plain[0] === "run" && plain[1] !== undefined
    ? {
        kind: "command",
        command: streamlitCommand(plain[1]),
        bind: "port",
        paths: [],
      }
    : undefined;

const pserve: Reader = ({ plain }) =>
  plain[0] === undefined ? undefined : { kind: "command", command: pasteCommand(plain[0]), paths: [] };

/** `python manage.py runserver` names no application; Django's own files do. */
const python: Reader = ({ plain }) => {
  const [script = ""] = plain;
  if (!script.endsWith(".py") || script.endsWith("manage.py")) return undefined;
  return { kind: "command", paths: [], script };
};

const aiohttp: Reader = ({ plain }) => ({ kind: "aiohttp", ...app(plain.at(-1)), paths: [] });

const readers: Record<string, Reader> = {
  gunicorn,
  uvicorn: asgi("uvicorn"),
  hypercorn: asgi("hypercorn"),
  daphne: asgi("daphne"),
  granian,
  "waitress-serve": waitress,
  waitress,
  uwsgi,
  flask,
  fastapi,
  litestar: runWithApp,
  quart: runWithApp,
  sanic,
  streamlit,
  pserve,
  python,
  "aiohttp.web": aiohttp,
};

export function moduleOfScript(script: string): string {
  return script.replace(/\.py$/, "").replaceAll("/", ".");
}

const aliases: Record<string, string> = {
  "gunicorn.app.wsgiapp": "gunicorn",
  "uwsgi-core": "uwsgi",
  pyuwsgi: "uwsgi",
  uwsgi_python3: "uwsgi",
};

const wrapped = new Set(["gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "uwsgi"]);

/** What a command serves; undefined if it serves nothing. */
export function serverOf(step: Step, files: ProjectFiles): ServerCommand | undefined {
  const program = aliases[step.program] ?? step.program;
  const reader = readers[program];
  if (reader === undefined) {
    // A starter of the project's own, such as `bin/start-nginx gunicorn shop.wsgi`.
    const index = step.args.findIndex((word) => wrapped.has(word));
    const [inner = "", ...args] = index < 0 ? [] : step.args.slice(index);
    return inner === "" ? undefined : serverOf({ ...step, program: inner, args }, files);
  }
  const found = reader(optionsOf(step.args), step);
  if (found === undefined) return undefined;
  const paths = [...found.paths, step.folder, step.env.PYTHONPATH ?? ""]
    .flatMap((path) => (path === "" ? [] : [inProject(path, { files, folder: "" })]))
    .filter((path) => path !== undefined);
  return { ...found, paths };
}
