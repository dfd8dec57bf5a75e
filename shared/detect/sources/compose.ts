import { parse } from "yaml";
import { at, type Findings } from "../findings.ts";
import { findingsOf, type Sources } from "../resolve.ts";
import { isTable } from "../tables.ts";
import { filesAbove, isProject } from "./above.ts";

const largest = 200_000;

/** The compose files: those of production come first, those for developing and testing last. */
function composeFiles(sources: Sources): string[] {
  const isCompose = (path: string) =>
    usualNames.test(path) || (/^[^/]+\.ya?ml$/.test(path) && hasServices(sources, path));
  const found = (sources.files.paths?.() ?? []).filter(isCompose);
  const weight = (path: string) =>
    path.split("/").length * 4 + (/prod/i.test(path) ? 0 : /dev|test|local|override|debug/i.test(path) ? 2 : 1);
  return [...found.toSorted((a, b) => weight(a) - weight(b)).slice(0, 6), ...filesAbove(usual, sources.files)];
}

const usualNames =
  /(?:^|\/)(?:(?:docker-)?compose(?:[._-][\w.-]+)?\.ya?ml|(?:production|prod|local|stack)\.yml)$|(?:^|\/)(?:docker[_-])?compose\/[\w.-]+\.ya?ml$/;

/** A file of another name, such as that of the project, is one if it lists services that are built or have an image. */
function hasServices({ files }: Sources, path: string): boolean {
  const text = files.read(path) ?? "";
  return /^services:[ \t]*\r?$/m.test(text) && /^[ \t]+(?:build|image):/m.test(text);
}

const usual = ["prod", "production", ""].flatMap((kind) =>
  ["docker-compose", "compose"].flatMap((name) =>
    ["yml", "yaml"].map((end) => [name, kind, end].filter((part) => part !== "").join(".")),
  ),
);

/** What the services run. A service without a command runs its image's, which the Dockerfile shows. */
export function fromCompose(sources: Sources): Findings[] {
  const all = composeFiles(sources).map((file) => {
    const text = sources.files.read(file) ?? "";
    return text.length > largest
      ? []
      : servicesOf(text)
          .filter(({ context = "" }) => isProject(file, context, sources.files))
          .map((each) => ofService(file, each, sources));
  });
  // Of several files the first that serves counts; its workers too.
  return (
    all.find((file) => file.some(({ servers }) => servers.length > 0)) ??
    all.find((file) => file.some(({ processes }) => processes.length > 0)) ??
    []
  );
}

interface Service {
  name: string;
  line: number | undefined;
  command: string | string[];
  /** The folder that its image is built from. */
  context: string | undefined;
  variables: Record<string, string>;
}

function servicesOf(text: string): Service[] {
  let value: unknown;
  try {
    value = parse(text, { merge: true, logLevel: "silent" });
  } catch {
    return [];
  }
  const services = isTable(value) && isTable(value.services) ? value.services : {};
  return Object.entries(services).flatMap(([name, service]) => {
    if (!isTable(service)) return [];
    const words = [service.entrypoint, service.command].filter(
      (each) => each !== undefined && each !== null && each !== "",
    );
    const command = words.every(isWords)
      ? words.flat()
      : words.map((each) => (isWords(each) ? each.join(" ") : String(each))).join(" && ");
    if (command.length === 0) return [];
    const line = text.slice(0, Math.max(0, text.search(new RegExp(`^[ \\t]+${name}:`, "m")))).split("\n").length;
    const built = isTable(service.build) ? service.build.context : service.build;
    const context = typeof built === "string" ? built : undefined;
    return [{ name, line, command, context, variables: variablesOf(service.environment) }];
  });
}

function isWords(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function variablesOf(value: unknown): Record<string, string> {
  if (isTable(value)) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, String(each ?? "")]));
  if (!isWords(value)) return {};
  return Object.fromEntries(value.map((each) => [each.replace(/=.*/s, ""), each.replace(/^[^=]*=?/s, "")]));
}

function ofService(file: string, { name, line, command, variables }: Service, sources: Sources): Findings {
  const text = Array.isArray(command) ? command : command.replaceAll("$$", "$");
  const found = findingsOf({ line: text, why: `${at(file, line)} (${name})`, variables }, sources);
  // What a worker's service migrates is not what prepares a release.
  if (found.servers.length > 0) return found;
  return { servers: [], processes: found.processes.map((each) => ({ ...each, name: nameFor(name, each.name) })) };
}

/** The service's own name, unless it is a name of many words. */
function nameFor(service: string, usual: string): string {
  return /^[a-z][a-z0-9-]{0,31}$/.test(service) && service !== "web" ? service : usual;
}
