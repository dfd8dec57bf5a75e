import { argv } from "../command.ts";
import type { ServerKind } from "../config-server.ts";
import { findDependencies } from "../dependencies/find-dependencies.ts";
import { type ProjectFiles, requirementNames } from "../project-clues.ts";
import { applicationsIn } from "./applications.ts";
import { backgroundOf } from "./background.ts";
import { ofWhole } from "./completed.ts";
import { dependencyFiles, dependencyNames, namesIn } from "./dependencies.ts";
import { type Django, djangoCandidates, djangoOf, settingsOfApp } from "./django.ts";
import type { Candidate, Findings, FoundProcess } from "./findings.ts";
import { requiredFrameworks, type Speaks } from "./frameworks.ts";
import { ownCommands, servedByCommand } from "./own-command.ts";
import { distinctProcesses } from "./process-command.ts";
import { listening, ofListener, type Sources, sourcesOf } from "./resolve.ts";
import { isTornado, scriptCandidates, streamlitScripts } from "./scripts.ts";
import { hasServer, type ServerClues, serversFor } from "./server-choice.ts";
import { streamlitCommand } from "./server-command.ts";
import { fromCompose } from "./sources/compose.ts";
import { fromDockerfiles } from "./sources/dockerfile.ts";
import { fromPlatforms } from "./sources/platforms.ts";
import { fromProcfile } from "./sources/procfile.ts";
import { fromMakefile, fromShellScripts } from "./sources/scripts.ts";
import { fromGunicornConf, fromPyproject, fromReadme, fromUwsgi } from "./sources/settings-files.ts";
import { fromSupervisor, fromSystemd } from "./sources/units.ts";
import { lookedFor, unanswered } from "./unanswered.ts";
import { firstWebSocket } from "./websockets.ts";

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

export type Detection =
  | {
      found: true;
      server: Omit<Candidate, "why" | "env" | "extra" | "caution">;
      extra: string[];
      env: Record<string, string>;
      why: string[];
    }
  /** No candidate that can start, or more than one. `looked`: what was looked for; `reasons`: why nothing was found. */
  | { found: false; candidates: Candidate[]; looked: string[]; reasons: string[] };

/** Everything that a project's files show about how it runs. */
export interface Survey {
  detection: Detection;
  processes: FoundProcess[];
  release: Findings["release"];
  django: Django | undefined;
  /** Where the first WebSocket is, such as `shop/chat.py:7`. */
  websockets: string | undefined;
  /** The names of the packages that it needs; undefined if it says so nowhere. */
  names: ReadonlySet<string> | undefined;
}

/** What serves a project, as far as its files show it. */
export function detectKind(files: ProjectFiles, given: GivenServer = {}, options: DetectOptions = {}): Detection {
  return survey(files, given, options).detection;
}

const surveys = new WeakMap<ProjectFiles, Survey>();

/** A project that was looked at as it is, with nothing given, is looked at once. */
export function survey(files: ProjectFiles, given: GivenServer = {}, options: DetectOptions = {}): Survey {
  const plain = Object.keys(given).length === 0 && Object.keys(options).length === 0;
  const known = plain ? surveys.get(files) : undefined;
  if (known !== undefined) return known;
  const made = look(files, given, options);
  if (plain) surveys.set(files, made);
  return made;
}

function look(files: ProjectFiles, given: GivenServer, options: DetectOptions): Survey {
  const requirements = options.requirements ?? "requirements.txt";
  const names = dependencyNames(files, requirements);
  const clues: ServerClues = {
    names,
    // The server may stand in another file than the one that is installed.
    installed: installedNames(files, options.requirements),
    where: dependencyFiles(files, requirements)[0] ?? requirements,
    systemPackages: options.systemPackages ?? false,
    websockets: false,
  };
  const sources = sourcesOf(files, clues, given.bind);
  const websockets = firstWebSocket(sources);
  clues.websockets = websockets !== undefined;
  const django = djangoOf(sources);
  const written = writtenIn(sources);
  const detection = decide(candidatesFor(given, django, written, sources), given, sources);
  const all = written.flat();
  const told = all.flatMap(({ processes }) => processes);
  return {
    detection,
    // What somebody wrote says how they start.
    processes: distinctProcesses(told.length > 0 ? told : backgroundOf(sources, django, pathOf(detection))),
    release: all.find(({ release }) => release !== undefined)?.release,
    django: withSettings(django, detection, sources),
    websockets,
    names,
  };
}

function pathOf(detection: Detection): string {
  return detection.found ? (detection.env.PYTHONPATH ?? "") : "";
}

/** The settings that the server's own file, or its application's, names are those of the site. */
function withSettings(django: Django | undefined, detection: Detection, sources: Sources): Django | undefined {
  if (django === undefined || !detection.found) return django;
  const { server, env } = detection;
  const module = env.DJANGO_SETTINGS_MODULE;
  if (module !== undefined) return { ...django, settings: { module, from: server.config_file ?? django.manage } };
  // Of several wsgi files the one that is served counts.
  if (server.app !== undefined && server.app === django.asgi?.app) return djangoOf(sources, "asgi");
  const isUsual = django.wsgi?.app === server.app;
  const own = isUsual ? undefined : settingsOfApp(server.app ?? "", django.path, sources);
  return own === undefined ? django : { ...django, settings: own };
}

/** What a release gets: an optional group of pyproject.toml, or a file for developing, is not installed. */
function installedNames(files: ProjectFiles, given: string | undefined): ReadonlySet<string> | undefined {
  const file = given ?? findDependencies(files);
  if (file === undefined) return undefined;
  return files.exists(file) && file.endsWith(".txt") ? namesIn(files, file) : requirementNames(files, file);
}

/** What people wrote, source by source, the most trusted first. */
function writtenIn(sources: Sources): Findings[][] {
  const readers = [
    fromProcfile,
    fromDockerfiles,
    fromCompose,
    fromPlatforms,
    fromSupervisor,
    fromSystemd,
    fromUwsgi,
    fromGunicornConf,
    fromPyproject,
    fromMakefile,
    fromShellScripts,
    fromReadme,
  ];
  return readers.map((read) => read(sources));
}

function candidatesFor(
  given: GivenServer,
  django: Django | undefined,
  written: Findings[][],
  sources: Sources,
): Candidate[] {
  if (given.command !== undefined) return [ofCommand(sources, given.command)];
  if (given.app !== undefined) return ofGivenApp(given.app, sources);
  const groups = [
    // Of several Dockerfiles or services the first that serves counts, unless they serve different things.
    ...written.map((all) => distinct(all.flatMap(({ servers }) => servers))),
    django === undefined ? [] : djangoCandidates(django, sources),
    ofFiles(sources),
  ];
  const fitting = (group: Candidate[]) => group.filter((each) => given.kind === undefined || each.kind === given.kind);
  const usable = (group: Candidate[]) => fitting(group).filter(({ caution }) => caution === undefined);
  const first = groups.find((group) => usable(group).length > 0);
  if (first !== undefined) return usable(first);
  const forKind = given.kind === undefined ? [] : ofKind(given.kind, groups.flat());
  return forKind.length > 0 ? forKind : fitting(groups.flat());
}

/** Another server for the same application: the person has chosen the kind. */
function ofKind(kind: ServerKind, found: Candidate[]): Candidate[] {
  const asgi: ServerKind[] = ["uvicorn", "hypercorn", "daphne", "granian"];
  const wsgi: ServerKind[] = ["gunicorn", "uwsgi", "waitress", "granian"];
  const family = [wsgi, asgi].find((kinds) => kinds.includes(kind)) ?? [];
  return distinct(
    found.flatMap(({ kind: other, extra: _, ...rest }) =>
      family.includes(other) && rest.app !== undefined ? [{ ...rest, kind }] : [],
    ),
  );
}

function ofCommand({ files, modules }: Sources, command: string | string[]): Candidate {
  const script = argv(command).find((word) => word.endsWith(".py"));
  const text = script === undefined ? "" : (files.read(script) ?? "");
  const module = script === undefined ? undefined : modules.module(script);
  const imports = (name: RegExp) =>
    Object.values(module?.imports ?? {}).some((each) => name.test(each)) ||
    name.test(text.replace(/^.*import\s+/gm, ""));
  if (script !== undefined && module !== undefined) {
    if (imports(/^tornado(?:\.web|\.httpserver|$)/)) return { kind: "tornado", why: [`${script} imports tornado`] };
    if (imports(/^aiohttp\.web/)) return { kind: "aiohttp", why: [`${script} imports aiohttp`] };
  }
  return { kind: "command", why: ["there is a server.command"] };
}

/** The application is known already. Only the server is open. */
function ofGivenApp(app: string, sources: Sources): Candidate[] {
  const [module = "", name = ""] = app.split(":");
  const file = sources.modules.locate(module)?.file;
  const meaning = file === undefined ? undefined : sources.modules.meaning(file, name.split("(", 1).join(""));
  const speaks: Speaks = meaning?.framework.speaks ?? (/asgi/.test(module) ? "asgi" : "wsgi");
  if (speaks === "aiohttp") return [{ kind: "aiohttp", app, why: [`${file} imports aiohttp`] }];
  const uwsgi = fromUwsgi(sources).flatMap(({ servers }) => servers)[0];
  if (uwsgi !== undefined && speaks === "wsgi") return [{ kind: "uwsgi", app, why: uwsgi.why }];
  return serversFor(speaks, app, sources.clues).map((server) => ({ ...server, app }));
}

/** Applications in Python files; or the project's own program, if that alone makes one whole. */
function ofFiles(sources: Sources): Candidate[] {
  const found = ofPython(sources);
  const own = ownCommands(sources);
  const usable = found.filter(({ caution }) => caution === undefined);
  if (usable.length === 0) return [...own, ...found];
  // What its command line reads may be what the application needs: only a person knows.
  const inside = servedByCommand(sources);
  return usable.some(({ app }) => inside.has(fileOf(app, sources))) ? [...usable, ...own] : found;
}

function fileOf(app: string | undefined, { modules }: Sources): string {
  return modules.locate(app?.split(":", 1)[0] ?? "")?.file ?? "";
}

/** Applications in Python files, and scripts that listen by themselves. */
function ofPython(sources: Sources): Candidate[] {
  const { files, modules, bind } = sources;
  const required = requiredFrameworks(sources.clues.names ?? new Set()).map(({ name }) => name);
  const all = applicationsIn(modules, files);
  // One whose framework nobody asked for is an example, or a tool.
  const wanted = all.filter(({ framework }) => required.includes(framework));
  const found = (wanted.length > 0 ? wanted : all).flatMap((each) => ofWhole(each, sources));
  const scripts = Object.entries(modules.scan.modules)
    .filter(([, module]) => isTornado(module))
    .map(([file]) => file);
  const usual = scripts.filter((file) => /(?:^|\/)(?:app|main|server|run|web)\.py$/.test(file));
  const tornado = (usual.length > 0 ? usual : scripts).flatMap((file) => scriptCandidates(modules, files, file, bind));
  if (found.some(({ caution }) => caution === undefined)) return found;
  if (found.length + tornado.length > 0) return [...tornado, ...found];
  const listeners = ofListeners(sources);
  return listeners.length > 0 ? listeners : ofStreamlit(sources);
}

function ofStreamlit({ modules, bind }: Sources): Candidate[] {
  if (bind === "socket") return [];
  return streamlitScripts(modules).map((file) => ({
    kind: "command",
    command: streamlitCommand(file),
    bind: "port",
    why: [`${file} imports streamlit`],
  }));
}

/** Scripts that start a framework's own server, such as CherryPy's, where nobody wrote down how they are run. */
function ofListeners(sources: Sources): Candidate[] {
  return Object.entries(sources.modules.scan.modules)
    .filter(([file, { runs }]) => !file.includes("/") && runs.some(({ what }) => listening.test(what)))
    .flatMap(([file]) => ofListener(file, { args: [file] }, `${file} starts a server`, sources));
}

function decide(candidates: Candidate[], given: GivenServer, sources: Sources): Detection {
  const kept = candidates.filter(({ kind }) => given.kind === undefined || kind === given.kind);
  const [first, ...others] = distinct(kept).map((each) => withServer(each, sources.clues));
  if (first === undefined || others.length > 0 || first.caution !== undefined) {
    return { found: false, candidates: distinct(kept), looked: lookedFor(sources.clues), reasons: unanswered(sources) };
  }
  const { why, extra = [], env = {}, caution: _, ...server } = first;
  return { found: true, server, extra, env, why };
}

/** Adds the server to what is installed, if nothing else brings it. */
function withServer(candidate: Candidate, clues: ServerClues): Candidate {
  const { kind, extra, command = "" } = candidate;
  const program: ServerKind = /^gunicorn /.test(command) ? "gunicorn" : kind;
  if (extra !== undefined || hasServer(program, clues)) return candidate;
  return { ...candidate, extra: [program === "uvicorn" && clues.websockets ? "uvicorn[standard]" : program] };
}

function distinct(candidates: Candidate[]): Candidate[] {
  const key = ({ kind, app, command }: Candidate) => JSON.stringify([kind, app, command]);
  return candidates.filter((one, index) => candidates.findIndex((other) => key(other) === key(one)) === index);
}
