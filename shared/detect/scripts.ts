import type { ProjectFiles } from "../project-clues.ts";
import { type Application, applicationOf } from "./applications.ts";
import type { Candidate } from "./findings.ts";
import type { PythonModules } from "./python-modules.ts";
import type { PythonModule } from "./python-scan.ts";

/** A variable with the port of the site itself. */
export function isPort(variable: string): boolean {
  return (
    /^(?:\w+_)?PORT$/.test(variable) &&
    !/DB|REDIS|PG|SQL|MAIL|SMTP|MONGO|RABBIT|AMQP|KAFKA|ELASTIC|STATSD|MEMCACHE|PROXY|LDAP/.test(variable)
  );
}

/** What cutover.yml says about where the instances listen. */
export type Bind = "socket" | "port" | undefined;

const sockets = ["path", "socket", "unix-socket", "uds", "unix", "sock"];

/** How a script that listens by itself gets its address: by an option, or a variable, that it reads. */
export function listens(file: string, { options, environ }: PythonModule, bind: Bind) {
  const takes = (option: string) => options.includes(`--${option}`) || options.includes(option);
  const socket = sockets.find(takes);
  if (socket !== undefined && bind !== "port") {
    return { command: `python ${file} --${socket}={socket}`, how: `it takes --${socket}` };
  }
  if (bind === "socket") return undefined;
  if (takes("port")) return { command: `python ${file} --port={port}`, how: "it takes --port", bind: "port" as const };
  const variable = environ.find(isPort);
  if (variable === undefined) return undefined;
  return { command: `env ${variable}={port} python ${file}`, how: `it reads ${variable}`, bind: "port" as const };
}

/** A script that is run by itself: a Tornado or aiohttp server, or one that starts another framework's. */
export function scriptCandidates(modules: PythonModules, files: ProjectFiles, file: string, bind: Bind): Candidate[] {
  const module = modules.module(file);
  if (module === undefined) return [];
  if (isTornado(module)) return [ofTornado(file, module, bind)];
  const application = applicationOf(modules, files, file);
  return application?.speaks === "aiohttp" ? [ofAiohttp(application, module, bind)] : [];
}

/** It imports what serves, and not only Tornado's client; and it starts something. */
export function isTornado({ imports, runs, star }: PythonModule): boolean {
  const served = [...Object.values(imports), ...star.map((name) => `${name}.`)].some((name) =>
    /^tornado(?:\.(?:web|httpserver|websocket)(?:\.|$)|$)/.test(name),
  );
  return served && runs.some(({ what }) => /(?:^|\.)(?:listen|start|bind|run|serve_forever)$/.test(what));
}

function ofTornado(file: string, module: PythonModule, bind: Bind): Candidate {
  const found = listens(file, module, bind);
  const why = `${file} imports tornado`;
  if (found !== undefined) {
    const { how, ...rest } = found;
    return { kind: "tornado", ...rest, why: [why, how] };
  }
  const takesPort = listens(file, module, undefined) !== undefined;
  return {
    kind: "tornado",
    command: `python ${file} --port={port}`,
    bind: "port",
    why: [why],
    caution: takesPort
      ? `${file} takes a port, and server.bind asks for a socket`
      : `${file} reads no --port, so two instances would listen on the same port: let it read one, such as \`define("port", type=int)\``,
  };
}

export function ofAiohttp(application: Application, module: PythonModule | undefined, bind: Bind): Candidate {
  const { file, app, needs, path, framework } = application;
  const found = module === undefined ? undefined : listens(file, module, bind);
  const why = `${file} imports aiohttp`;
  const env = path === "" ? {} : { env: { PYTHONPATH: path } };
  // A function that needs nothing is called by cutover; a script with options of its own knows best.
  const parses = module?.assigned.some(({ value }) => /\.parse_(?:known_)?args$/.test(value.call ?? "")) === true;
  if (found !== undefined && (found.bind === undefined || needs.length > 0 || parses)) {
    const { how, ...rest } = found;
    return { kind: "aiohttp", ...rest, why: [why, how] };
  }
  if (needs.length === 0) return { kind: "aiohttp", app, ...env, why: [why] };
  return { kind: "aiohttp", app, ...env, why: [`${why} (${framework})`], caution: needing(application) };
}

/** What a person has to do about a function that cannot be called as it is. */
export function needing({ app, needs, file, line }: Application): string {
  const name = app
    .slice(app.indexOf(":") + 1)
    .split("(", 1)
    .join("");
  const given = needs.map((each) => `\`${each}\``).join(" and ");
  return `${name} in ${file}:${line} needs ${given}, which cutover cannot give: give the call yourself, such as \`app = ${name}(...)\` in a file of its own`;
}

/** Scripts that Streamlit runs: those at the top-most place that no other module imports. Pages are found by Streamlit itself. */
export function streamlitScripts({ scan }: PythonModules): string[] {
  const all = Object.entries(scan.modules);
  const imported = new Set(
    all.flatMap(([, { imports }]) => Object.values(imports).flatMap((name) => [name, name.replace(/\.[^.]+$/, "")])),
  );
  const found = all.flatMap(([file, module]) => {
    const isScript = Object.values(module.imports).includes("streamlit") && !/(?:^|\/)pages\//.test(file);
    return isScript && !imported.has(module.module) ? [file] : [];
  });
  const depth = (file: string) => file.split("/").length;
  const top = found.filter((file) => depth(file) === Math.min(...found.map(depth)));
  const usual = top.filter((file) => /(?:^|\/)(?:(?:streamlit_)?app|main|home|index|streamlit_main)\.py$/i.test(file));
  return usual.length > 0 ? usual : top;
}
