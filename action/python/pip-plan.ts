import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import type { Config } from "../../shared/config.ts";
import { decodeText } from "../../shared/decode-text.ts";
import { parseSource } from "../../shared/dependencies/form.ts";
import { readDependencies } from "../../shared/dependencies/read-dependencies.ts";
import {
  type Dependencies,
  indexOptions,
  type Requirement,
  requirementLine,
} from "../../shared/dependencies/requirement.ts";
import { requirementsInvalid } from "../../shared/dependencies/values.ts";
import { projectFiles } from "../project/project-files.ts";
import type { PackFile } from "../project/walk.ts";
import { cacheDirectory, hideFromGit } from "./cache.ts";
import { type ExportContext, exportedLock } from "./lock-export.ts";

/** One call of pip. */
export interface PipRun {
  /** The requirements files that it reads, relative to the project. */
  files: string[];
  /** What pip is asked for: these files, with their options, and packages. */
  wanted: string[];
}

export interface PlanContext extends ExportContext {
  pipArguments: string[];
}

/** Where requirements that were made of another file lie, in the project and in the bundle. */
const folder = posix.join(cacheDirectory, "requirements");
/** In the bundle, where no file of the project can be. */
export const packedRequirements = posix.join(cacheDirectory, "requirements.txt");

/**
 * What pip gets for the file that `python.requirements` names. pip wants hashes for all lines of a file or for none, and
 * there are none for repositories and directories: so what a lock names becomes two files.
 * @throws CutoverError requirements_invalid
 */
export async function pipRuns({ python }: Config, context: PlanContext): Promise<PipRun[]> {
  const { directory } = context;
  const { requirements: given, extra = [] } = python;
  // Then the extra packages are all that there is.
  if (!existsSync(join(directory, parseSource(given).file)) && extra.length > 0) return [{ files: [], wanted: extra }];
  const found = await dependencies(given, context);
  if (found === undefined) return [{ files: [given], wanted: ["--requirement", given, ...extra] }];
  const write = await requirementsWriter(found, context);
  if (!found.locked) {
    const file = await write("open.txt", found.requirements);
    return [{ files: [file], wanted: ["--requirement", file, ...extra] }];
  }
  const [hashed, others] = byHashes(found.requirements);
  const runs: PipRun[] = [];
  const add = (file: string, ...wanted: string[]) => runs.push({ files: [file], wanted });
  if (hashed.length > 0) {
    const file = await write("hashed.txt", hashed);
    add(file, "--no-deps", "--require-hashes", "--requirement", file);
  }
  if (others.length > 0) {
    const file = await write("unhashed.txt", others);
    add(file, "--no-deps", "--requirement", file);
  }
  if (extra.length > 0) {
    const file = await write("constraints.txt", constraints(found.requirements));
    add(file, "--constraint", file, ...extra);
  }
  return runs;
}

/** What the project itself is built from comes last: its own dependencies are there by then. */
function byHashes(requirements: Requirement[]): [Requirement[], Requirement[]] {
  const hashed = requirements.filter(({ hashes }) => hashes.length > 0);
  const others = requirements.filter(({ hashes }) => hashes.length === 0);
  return [hashed, [...others.filter(({ name }) => name !== ""), ...others.filter(({ name }) => name === "")]];
}

/** The versions of a lock: an extra package must not bring a second version of one of them. */
function constraints(requirements: Requirement[]): Requirement[] {
  return requirements.filter(({ line }) => /^[\w.-]+==/.test(line)).map((one) => ({ ...one, hashes: [] }));
}

/** Writes requirements files, each with the indexes that the project names. @returns the file's path in the project */
async function requirementsWriter({ indexes }: Dependencies, context: PlanContext) {
  const { directory } = context;
  const head = indexOptions(indexes, namesMirror(context));
  await hideFromGit(directory);
  await mkdir(join(directory, folder), { recursive: true });
  return async (name: string, lines: Requirement[]): Promise<string> => {
    const file = posix.join(folder, name);
    await writeFile(
      join(directory, file),
      fileText(head, lines, (path) => join(directory, path)),
    );
    return file;
  };
}

/** The file's requirements; for a lock, as its own tool writes them when it is there. undefined for a requirements file. */
async function dependencies(given: string, context: ExportContext): Promise<Dependencies | undefined> {
  const read = readDependencies(projectFiles(context.directory), given);
  if (read?.locked !== true) return read;
  const exported = await exportedLock(given, context);
  if (exported === undefined) return read;
  return { ...read, requirements: [...exported, ...read.requirements.filter(({ name }) => name === "")] };
}

/** The person's own index comes before the one that a lock was made with. */
function namesMirror({ pipArguments, env }: PlanContext): boolean {
  return env.PIP_INDEX_URL !== undefined || pipArguments.some((word) => /^(?:-i|--index-url)/.test(word));
}

/** @param included the path of a file that a line includes, from where the text will lie */
function fileText(head: string[], lines: Requirement[], included: (path: string) => string): string {
  const texts = lines.map((one) => {
    const [, file] = /^-r (.*)$/.exec(one.line) ?? [];
    return file === undefined ? requirementLine(one) : `-r ${included(file)}`;
  });
  return `${[...head, ...texts].join("\n")}\n`;
}

/**
 * For `wheels: index`: the requirements file for the host's pip, as a file of the bundle.
 * @returns undefined if the project's own file does
 * @throws CutoverError requirements_invalid for what lies outside of the project, where the host has nothing
 */
export async function hostRequirements({ python }: Config, context: PlanContext): Promise<PackFile | undefined> {
  const { directory } = context;
  const { requirements: given, extra = [] } = python;
  if (!existsSync(join(directory, parseSource(given).file)) && extra.length > 0) return undefined;
  const found = await dependencies(given, context);
  if (found === undefined && !given.startsWith("../")) return undefined;
  const text = found === undefined ? await fileAbove(directory, given) : hostText(found, extra, context);
  await hideFromGit(directory);
  const source = join(directory, folder, "host.txt");
  await mkdir(join(directory, folder), { recursive: true });
  await writeFile(source, text);
  return { path: `app/${packedRequirements}`, source, mode: 0o644 };
}

/** @param extra what the host's pip gets in the same call: with hashes for some, it would want them for all */
function hostText(
  { file, locked, requirements, indexes }: Dependencies,
  extra: string[],
  { onLine }: PlanContext,
): string {
  const outside = requirements.filter(({ line }) => /^(?:-r )?\.\.(?:\/|$)/.test(line));
  if (outside.length > 0) throw notOnHost(file, outside.map(({ line }) => line).join(", "));
  const hashed = locked && extra.length === 0 && requirements.every(({ hashes }) => hashes.length > 0);
  if (locked && !hashed)
    onLine(`${file} does not give hashes for all that is installed, so the hosts' pip checks none.`);
  const lines = hashed ? requirements : requirements.map((one) => ({ ...one, hashes: [] }));
  // In the bundle the file lies one folder below the project.
  return fileText(indexOptions(indexes, false), lines, (path) => `../${path}`);
}

async function fileAbove(directory: string, given: string): Promise<string> {
  const text = decodeText(await readFile(join(directory, given)));
  const inner = /^[ \t]*(?:-[rcef]\b|--(?:requirement|constraint|editable|find-links)\b|\.{1,2}\/).*/m.exec(text);
  if (inner !== null) throw notOnHost(given, inner[0].trim());
  return text;
}

function notOnHost(file: string, what: string) {
  return requirementsInvalid(
    `${file} names ${what}, which lies outside of the project, so the hosts do not have it.`,
    "Write `wheels: vendor` below `python` in cutover.yml: then the Action packs its wheels.",
  );
}
