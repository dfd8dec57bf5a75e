import { posix } from "node:path";
import { DockerfileParser, type Instruction, type JSONInstruction } from "dockerfile-ast";
import type { ProjectFiles } from "../../project-clues.ts";
import { at, type Findings } from "../findings.ts";
import { findingsOf, type Sources } from "../resolve.ts";
import { filesAbove, isProject } from "./above.ts";

const largest = 200_000;

/** The Dockerfiles of a project: that of production comes first, those for developing do not count. */
function dockerfiles({ files }: Sources): string[] {
  const found = (files.paths?.() ?? []).filter((path) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (!/^(?:Dockerfile|Containerfile)(?:[._-][\w.-]+)?$|\.[Dd]ockerfile$/.test(name)) return false;
    return !/dev|test|local|debug|lint|docs|nginx|frontend|node|celery|worker|postgres/i.test(
      path.replace(/^deploy(?:ment)?\//, ""),
    );
  });
  const weight = (path: string) => (/prod/i.test(path) ? 0 : 1) + path.split("/").length * 2;
  const own = found.toSorted((a, b) => weight(a) - weight(b)).slice(0, 8);
  return [
    ...own,
    ...filesAbove(["Dockerfile", "Dockerfile.prod", "Containerfile"], files).filter((file) => copies(file, files)),
  ];
}

/** Whether the image of a file above has the project in it: its folder, or something of it, is copied. */
function copies(file: string, files: ProjectFiles): boolean {
  const depth = (/^(?:\.\.\/)+/.exec(file)?.[0].length ?? 0) / 3;
  const lines = [...(files.read(file) ?? "").matchAll(/^[ \t]*(?:COPY|ADD)[ \t]+(?!.*--from=)([^\n\\]+)/gim)];
  const named = lines.flatMap(([, words = ""]) =>
    words
      .replace(/[[\]",]/g, " ")
      .trim()
      .split(/\s+/)
      .slice(0, -1),
  );
  const folders = named.map((path) => posix.normalize(path).split("/").slice(0, depth).join("/"));
  return [...new Set(folders)].some((folder) => isProject(file, folder, files));
}

/** What the last stage of the first Dockerfile that serves runs. */
export function fromDockerfiles(sources: Sources): Findings[] {
  const found = dockerfiles(sources).flatMap((file) => {
    const text = sources.files.read(file) ?? "";
    const run = text.length > largest ? undefined : lastCommand(text);
    if (run === undefined) return [];
    return [findingsOf({ line: run.line, why: at(file, run.at), variables: run.variables }, sources)];
  });
  const first = found.find(({ servers }) => servers.length > 0);
  return first === undefined ? found.slice(0, 1) : [first];
}

interface Run {
  line: string | string[];
  /** The line of the file. */
  at: number;
  /** What ENV and ARG set. */
  variables: Record<string, string>;
}

/** ENTRYPOINT with CMD as its arguments, as Docker joins them. */
export function lastCommand(text: string): Run | undefined {
  const dockerfile = DockerfileParser.parse(text);
  const last = dockerfile.getFROMs().at(-1)?.getRange()?.start.line ?? 0;
  const inLast = <T extends Instruction>(all: T[]) => all.filter((each) => each.getRange().start.line >= last).at(-1);
  const entry = inLast(dockerfile.getENTRYPOINTs());
  const command = inLast(dockerfile.getCMDs());
  const found = entry ?? command;
  if (found === undefined) return undefined;
  const variables: Record<string, string> = {};
  for (const each of [
    ...dockerfile.getARGs().map((arg) => arg.getProperty()),
    ...dockerfile.getENVs().flatMap((env) => env.getProperties()),
  ]) {
    const value = each?.getValue();
    if (each != null && value != null) variables[each.getName()] = value;
  }
  const parts = [entry, command].flatMap((each) => (each === undefined ? [] : [wordsOf(each)]));
  const words = parts.every((each) => Array.isArray(each));
  // An ENTRYPOINT in shell form ignores CMD.
  const line =
    entry !== undefined && !Array.isArray(wordsOf(entry))
      ? wordsOf(entry)
      : words
        ? (parts.flat() as string[])
        : joinedShell(parts);
  return { line: ofVolumes(line, text), at: (command ?? found).getRange().start.line + 1, variables };
}

/** What an image keeps in a volume of its own is kept beside the releases here. */
function ofVolumes(line: string | string[], text: string): string | string[] {
  const places = [...text.matchAll(/^VOLUME[ \t]+(.+)$/gm)].flatMap(
    ([, words = ""]) => words.match(/\/[\w./-]+/g) ?? [],
  );
  return Array.isArray(line) ? line.map((word) => (places.includes(word) ? "{shared}" : word)) : line;
}

function joinedShell(parts: (string | string[])[]): string {
  return parts.map((each) => (Array.isArray(each) ? each.join(" ") : each)).join(" ");
}

function wordsOf(instruction: JSONInstruction): string | string[] {
  const text = (instruction.getArgumentsContent() ?? "").replace(/\\\r?\n/g, " ");
  return listIn(text) ?? text;
}

/** The words of exec form. The library's own reading of it loses spaces in words that have variables with a default. */
function listIn(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) && words.every((word) => typeof word === "string") ? words : undefined;
  } catch {
    return undefined;
  }
}
