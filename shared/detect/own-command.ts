import { argv } from "../command.ts";
import type { Step } from "./command-line.ts";
import { type OwnProgram, ownPrograms } from "./console-scripts.ts";
import type { Candidate } from "./findings.ts";
import type { Sources } from "./looked-at.ts";
import type { Located } from "./python-modules.ts";
import type { PythonCommand, PythonModule } from "./python-scan.ts";
import { isPort } from "./scripts.ts";

/** Where a program's command line is defined, and the modules of the project that it leads to. */
interface Program extends OwnProgram {
  file: string;
  path: string;
  reached: string[];
  /** `python -m shop` */
  start: string;
}

interface Listener {
  file: string;
  command: PythonCommand;
  /** `--port={port} --host=127.0.0.1` */
  options: string;
  takes: string;
}

const ports = ["--port", "--http-port", "--server-port", "--web-port", "--listen-port"];
const addresses = ["--bind", "--listen", "--hosts", "--addrport"];
const hosts = ["--host", "--address", "--interface", "--bind-address", "--listen-host", "--hostname"];
const serving = /^(?:serve|server|run|runserver|run-server|start|web|webserver|ui|api|http)$/;
const servers =
  /^(?:uvicorn|gunicorn|waitress|hypercorn|granian|wsgiref|http\.server|socketserver|aiohttp\.web|tornado|gevent\.pywsgi|cheroot|cherrypy|bottle|flask|fastapi|starlette|quart|litestar|sanic|falcon|dash)(?:\.|$)/;
const most = 80;

/** Programs of the project's own that take a port: they serve by themselves, as tools do. */
export function ownCommands(sources: Sources): Candidate[] {
  const all = programsOf(sources).flatMap((program) => {
    const [found] = listenersOf(program, sources);
    return found === undefined ? [] : [candidate(program, found, nameOf(program, found.command), [program.why])];
  });
  return all.filter(({ command }, index) => all.findIndex((other) => other.command === command) === index).slice(0, 4);
}

/** The modules that the programs lead to, if one of them takes a port. An application in them may need what the program reads. */
export function servedByCommand(sources: Sources): ReadonlySet<string> {
  const all = programsOf(sources).filter((program) => listenersOf(program, sources).length > 0);
  return new Set(all.flatMap((program) => listenersOf(program, sources).map(({ file }) => file)));
}

/** A line that starts such a program, such as CMD of a Dockerfile: where it listens is replaced, the rest is kept. */
export function ofOwnProgram({ program, args, folder }: Step, why: string, sources: Sources): Candidate[] {
  const [first = "", ...others] = args;
  // `python /app/bin/shop`; and a command that the project adds to another program, such as `celery shop`.
  const isScript = program === "python" || program === "celery";
  const name = isScript ? first.slice(first.lastIndexOf("/") + 1) : program;
  const found =
    programsOf(sources).find((each) => each.name === name) ??
    (program === "python" ? ofScriptFile(first, folder, sources) : ofModule(program, sources));
  if (found === undefined) return [];
  const words = isScript ? others : args;
  const listeners = listenersOf(found, sources);
  const plain = words.filter((word) => !word.startsWith("-"));
  const listener = listeners.find(({ command }) => plain.includes(command.name)) ?? listeners[0];
  const told = withoutPlace(words);
  if (listener === undefined) {
    if (told.listens === "") return byVariable(found, told.rest, why, sources);
    return [{ ...base(found), command: [found.start, ...told.rest, told.listens].join(" "), why: [why] }];
  }
  const own = nameOf(found, listener.command);
  const rest = [...(own !== "" && !told.rest.includes(own) ? [own] : []), ...told.rest].join(" ");
  return [candidate(found, listener, rest, [why])];
}

/** A program that reads where to listen from variables, as it was started. */
function byVariable(program: Program, rest: string[], why: string, { modules }: Sources): Candidate[] {
  const all = program.reached.flatMap((file) => modules.module(file) ?? []);
  if (!importServers(all)) return [];
  const variables = all.flatMap(({ environ }) => environ);
  const port = variables.find(isPort);
  if (port === undefined) return [];
  const host = variables.includes(port.replace(/PORT$/, "HOST")) ? `${port.replace(/PORT$/, "HOST")}=127.0.0.1 ` : "";
  const line = ["env", `${host}${port}={port}`, program.start, ...rest].join(" ");
  return [{ ...base(program), command: line, why: [why, `it reads ${port}`] }];
}

/** The scripts at the top that lead to a file of the project and start what is in it, where they are told a port. */
export function scriptsThrough(file: string, sources: Sources): Candidate[] {
  const scripts = Object.entries(sources.modules.scan.modules).filter(
    ([path, { main }]) => main && !path.includes("/"),
  );
  return scripts.flatMap(([path]) => {
    const program = ofScriptFile(path, "", sources);
    if (program?.reached.includes(file) !== true) return [];
    const [listener] = listenersOf(program, sources);
    const why = `${path} leads to ${file}`;
    return listener === undefined
      ? byVariable(program, [], why, sources)
      : [candidate(program, listener, nameOf(program, listener.command), [why])];
  });
}

/** `python shop.py`: a file of the project that is run by itself. */
function ofScriptFile(path: string, folder: string, sources: Sources): Program | undefined {
  const file = [folder === "" ? path : `${folder}/${path}`, path].find((each) => sources.modules.module(each));
  if (file === undefined || !path.endsWith(".py")) return undefined;
  const reached = reachedFrom(file, sources, true);
  return { name: path, module: "", call: "", why: path, file, path: "", reached, start: `python ${file}` };
}

/** `python -m shop.main` */
function ofModule(name: string, sources: Sources): Program | undefined {
  const located = /^[A-Za-z_]\w*(?:\.\w+)+$/.test(name) ? sources.modules.locate(name) : undefined;
  if (located === undefined || sources.modules.module(located.file)?.main !== true) return undefined;
  const reached = reachedFrom(located.file, sources);
  return { name, module: name, call: "", why: located.file, ...located, reached, start: `python -m ${name}` };
}

/** A step that starts one of the project's own programs, as a release can start it: the program itself is not installed there. */
export function asModule(step: Step, sources: Sources): Step {
  const found = programsOf(sources).find(({ name, isCommandOf }) => name === step.program && isCommandOf !== true);
  if (found === undefined) return step;
  const [program = "", ...args] = argv(found.start);
  return { ...step, program, args: [...args, ...step.args] };
}

/** The words without those that say where it listens, and these for one instance. */
function withoutPlace(words: string[]): { rest: string[]; listens: string } {
  const rest: string[] = [];
  let listens = "";
  for (let index = 0; index < words.length; index++) {
    const [option = "", inline] = (words[index] ?? "").split(/=(.*)/s);
    const place = placeOf(option, inline ?? words[index + 1] ?? "");
    if (place === undefined) rest.push(words[index] ?? "");
    else {
      listens = place === "" ? listens : place;
      if (inline === undefined) index++;
    }
  }
  // What only a shell knows is no part of the line.
  return { rest: rest.filter((word) => !word.includes("$")), listens };
}

/** What stands for an option in an instance's line: nothing for a host; undefined if it does not say where to listen. */
function placeOf(option: string, value: string): string | undefined {
  if (!option.startsWith("-")) return undefined;
  if (/(?:^|\]|[\w.]):\d{2,5}(?:,|$)/.test(value)) return `${option}=127.0.0.1:{port}`;
  if (ports.includes(option)) return `${option}={port}`;
  if (option === "-p" && /^(?:\d+|\$\{?\w+\}?)$/.test(value)) return "--port={port}";
  return hosts.includes(option) || option === "-H" || option === "-h" ? "" : undefined;
}

const known = new WeakMap<Sources, Program[]>();

function programsOf(sources: Sources): Program[] {
  const before = known.get(sources);
  if (before !== undefined) return before;
  const found = ownPrograms(sources.files).flatMap((program) => {
    const located = sources.modules.locate(program.module);
    if (located === undefined) return [];
    const reached = reachedFrom(located.file, sources);
    return [{ ...program, ...located, reached, start: startOf(program, located, sources) }];
  });
  known.set(sources, found);
  return found;
}

/** The file and what it imports of its own package, or of the project, as deep as that goes. */
export function reachedFrom(file: string, { modules }: Sources, ofProject = false): string[] {
  const found = [file];
  for (let index = 0; index < found.length && found.length < most; index++) {
    const module = modules.module(found[index] ?? "");
    if (module === undefined) continue;
    for (const name of [...Object.values(module.imports), ...module.star]) {
      const own = ofProject || name.split(".", 1)[0] === module.module.split(".", 1)[0];
      const places = own ? [name, name.replace(/\.[^.]+$/, "")] : [];
      const next = places.map((place) => modules.fileOf(place)).find((each) => each !== undefined);
      if (next !== undefined && !found.includes(next)) found.push(next);
    }
  }
  return found;
}

/** The commands that take a port, those that are called after serving first. */
function listenersOf({ reached }: Program, { modules }: Sources): Listener[] {
  const all = reached.flatMap((file) => modules.module(file) ?? []);
  if (!importServers(all)) return [];
  const found = reached.flatMap((file) =>
    (modules.module(file)?.commands ?? []).flatMap((command): Listener[] => {
      const options = listening(command.options);
      return options === undefined ? [] : [{ file, command, ...options }];
    }),
  );
  const weight = ({ command: { name } }: Listener) => (serving.test(name) ? 0 : name === "" ? 1 : 2);
  return found
    .filter((each) => weight(each) < 2 || each.options.includes("127.0.0.1"))
    .toSorted((a, b) => weight(a) - weight(b));
}

function importServers(all: PythonModule[]): boolean {
  return all.some(({ imports }) => Object.values(imports).some((name) => servers.test(name)));
}

function listening(options: string[]): Pick<Listener, "options" | "takes"> | undefined {
  const first = (names: string[]) => names.find((name) => options.includes(name));
  const [port, address] = [first(ports), first(addresses)];
  // Next to `--web-port` it is `--web-host`: a plain `--host` is another one's.
  const own = [`${port?.replace(/port$/, "host")}`, `${port?.replace(/port$/, "address")}`];
  const host = first(port === "--port" ? hosts : own);
  if (port !== undefined) {
    return { options: `${host === undefined ? "" : `${host}=127.0.0.1 `}${port}={port}`, takes: port };
  }
  return address === undefined ? undefined : { options: `${address}=127.0.0.1:{port}`, takes: address };
}

/** The word that chooses the command; none for the only one. */
function nameOf({ call }: Program, { name, alone }: PythonCommand): string {
  const isItself = alone && (call.replaceAll("_", "-") === name || name === "main");
  return isItself ? "" : name;
}

function candidate(program: Program, { file, command, options, takes }: Listener, rest: string, why: string[]) {
  const line = [program.start, rest, options].filter((each) => each !== "").join(" ");
  const needs = command.needs.map((each) => `\`${each}\``).join(" and ");
  const at = `${file}:${command.line}`;
  return {
    ...base(program),
    command: line,
    why: [...why, `${at} takes ${takes}`],
    ...(needs !== "" && { caution: `${at} also needs ${needs}: give the whole line` }),
  };
}

function base({ path }: Program): Omit<Candidate, "why"> {
  return { kind: "command", bind: "port", ...(path !== "" && { env: { PYTHONPATH: path } }) };
}

/** A release has the project's files and its requirements, and not the programs that installing it would make. */
function startOf(program: OwnProgram, { file, path }: Located, { files, modules }: Sources): string {
  const { name, module, call, isCommandOf = false } = program;
  const [top = ""] = module.split(".", 1);
  const main = [path, top, "__main__.py"].filter((part) => part !== "").join("/");
  const imported = Object.values(modules.module(main)?.imports ?? {});
  if (files.exists(main) && (main === file || isCommandOf || imported.includes(`${module}.${call}`))) {
    return `python -m ${top}${isCommandOf ? ` ${name}` : ""}`;
  }
  if (modules.module(file)?.main === true) return `python -m ${module}`;
  return `python -c 'from ${module} import ${call}; ${call}()'`;
}
