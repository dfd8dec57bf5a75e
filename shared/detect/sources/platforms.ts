import { parse } from "yaml";
import type { ProjectFiles } from "../../project-clues.ts";
import { at, type Findings, none } from "../findings.ts";
import { findingsOf, type Sources } from "../resolve.ts";
import { isTable, type Table, tomlValue, valueAt } from "../tables.ts";

/** Files in which hosting platforms are told how a project runs. */
const places = [
  "render.yaml",
  "railway.json",
  "railway.toml",
  "nixpacks.toml",
  "fly.toml",
  "app.yaml",
  "app.json",
  ".do/app.yaml",
];
const largest = 100_000;

/** The commands that they start: of services for the web, and of workers. */
export function fromPlatforms(sources: Sources): Findings[] {
  return places.flatMap((file) => {
    const text = sources.files.read(file) ?? "";
    return startsIn(parsed(file, text)).map(({ name, line, folder }) => {
      const index = text.indexOf(line.split("\n")[0] ?? line);
      const why = at(file, index < 0 ? undefined : text.slice(0, index).split("\n").length);
      const command = folder === undefined ? line : `cd '${folder}' && ${line}`;
      const found = findingsOf({ line: command, why, ...(name !== undefined && { process: name }) }, sources);
      return found.servers.length > 0 ? found : { ...none, processes: name === undefined ? [] : found.processes };
    });
  });
}

interface Start {
  /** Of a worker. */
  name?: string;
  line: string;
  folder?: string;
}

function startsIn(value: unknown): Start[] {
  const get = (...path: string[]) => valueAt(value, ...path);
  const services = Array.isArray(get("services")) ? (get("services") as unknown[]).filter(isTable) : [];
  const single = [get("deploy", "startCommand"), get("start", "cmd"), get("entrypoint"), get("processes", "app")];
  return [
    ...services.flatMap(ofService),
    ...single.flatMap((line) => (typeof line === "string" ? [{ line: line.trim() }] : [])),
  ];
}

function ofService({ type, name, startCommand, run_command: run, rootDir, source_dir: source }: Table): Start[] {
  const line = startCommand ?? run;
  if (typeof line !== "string" || type === "cron") return [];
  const folder = rootDir ?? source;
  return [
    {
      line: line.trim(),
      ...(typeof folder === "string" && /\w/.test(folder) && { folder: folder.replace(/^[./]+/, "") }),
      ...((type === "worker" || type === "pserv") && { name: typeof name === "string" ? name : "worker" }),
    },
  ];
}

function parsed(file: string, text: string): unknown {
  if (text === "" || text.length > largest) return undefined;
  try {
    return file.endsWith(".toml") ? tomlValue(text) : parse(text, { logLevel: "silent" });
  } catch {
    return undefined;
  }
}

/** Django's settings modules that they are told as a variable. */
export function platformSettings(files: Pick<ProjectFiles, "read">): { module: string; file: string }[] {
  return places.flatMap((file) => {
    const found = variablesIn(parsed(file, files.read(file) ?? ""), "DJANGO_SETTINGS_MODULE");
    return found.map((module) => ({ module, file }));
  });
}

/** `NAME: x`, `NAME: { value: x }` or `{ key: NAME, value: x }`, wherever it stands. */
function variablesIn(value: unknown, name: string, depth = 0): string[] {
  if (depth > 6) return [];
  if (Array.isArray(value)) return value.flatMap((each) => variablesIn(each, name, depth + 1));
  if (!isTable(value)) return [];
  const own = [
    value[name],
    valueAt(value, name, "value"),
    (value.key ?? value.name) === name ? value.value : undefined,
  ];
  return [
    ...own.flatMap((each) => (typeof each === "string" ? [each] : [])),
    ...Object.values(value).flatMap((each) => variablesIn(each, name, depth + 1)),
  ];
}
