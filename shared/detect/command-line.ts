import { argv } from "../command.ts";
import type { ProjectFiles } from "../project-clues.ts";
import { readIni } from "./ini.ts";

/** One command of a line or a script, without what only wraps it (`exec`, `poetry run`, `sh -c`, `dumb-init --`). */
export interface Step {
  /** Without its folder, and without a version: `gunicorn`, `python`. With `python -m x` it is `x`. */
  program: string;
  args: string[];
  env: Record<string, string>;
  /** The folder that `cd` went to, relative to the project; empty at its top. */
  folder: string;
  /** The program of supervisor's that it is. */
  unit?: string;
}

interface Shell {
  files: ProjectFiles;
  variables: Record<string, string>;
  folder: string;
  /** How many scripts deep it is. */
  depth: number;
}

const deepest = 3;
/**
 * In characters: of a script, and of one command, twice what `command` in cutover.yml takes. What is longer is not read: a few
 * lines that export a variable twice in itself would be as long as anybody likes.
 */
const longest = { script: 100_000, command: 8192 } as const;

/** The commands that a line of shell, or a list of words, runs. Scripts of the project are read. */
export function stepsOf(line: string | string[], files: ProjectFiles, variables: Record<string, string> = {}): Step[] {
  return read(line, { files, variables: { ...variables }, folder: "", depth: 0 });
}

function read(line: string | string[], shell: Shell): Step[] {
  if (shell.depth > deepest || line.length > longest.script) return [];
  if (Array.isArray(line)) return ofWords(line, shell);
  return commandsOf(line).flatMap((command) => ofWords(wordsOf(command, shell.variables), shell));
}

/** Splits at `;`, `&&`, `||`, `|`, `&` and line ends, outside of quotes. */
function commandsOf(text: string): string[] {
  const commands: string[] = [];
  let [quote, command] = ["", ""];
  for (const [match] of text.replace(/\\\r?\n/g, " ").matchAll(/\\.|&&|\|\||[\s\S]/g)) {
    if (quote === "" && /^(?:&&|\|\||[;|\n])$/.test(match)) {
      commands.push(command);
      command = "";
      continue;
    }
    if (quote === match) quote = "";
    else if (quote === "" && (match === "'" || match === '"')) quote = match;
    command += match;
  }
  return [...commands, command]
    .filter(({ length }) => length <= longest.command)
    .map((each) =>
      each
        .replace(/(?<!\S)#.*$/, "")
        .replace(/\s&\s*$/, "")
        .trim(),
    )
    .filter((each) => each !== "");
}

function wordsOf(command: string, variables: Record<string, string>): string[] {
  const filled = command.replace(
    /\$(?:\{(\w+)(?::?[-=]([^}]*))?\}|(\w+))/g,
    (whole, braced: string | undefined, fallback: string | undefined, bare: string | undefined) =>
      variables[braced ?? bare ?? ""] ?? fallback ?? whole,
  );
  if (filled.length > longest.command) return [];
  try {
    return argv(filled);
  } catch {
    return [];
  }
}

const keywords = new Set(["then", "do", "else", "exec", "nohup", "time", "!", "{", "("]);
/** Programs that run another one: how many words of their own follow them, besides options. */
const wrappers: Record<string, number> = {
  env: 0,
  sudo: 0,
  "dumb-init": 0,
  tini: 0,
  "ddtrace-run": 0,
  "opentelemetry-instrument": 0,
  gosu: 1,
  "su-exec": 1,
  "wait-for-it.sh": 1,
  "wait-for-it": 1,
  "wait-for": 1,
  "newrelic-admin": 1,
  poetry: 1,
  uv: 1,
  pipenv: 1,
  pdm: 1,
  hatch: 1,
  rye: 1,
  doppler: 1,
  dotenv: 1,
  coverage: 1,
};

/** Runs `run` alone: `poetry install` starts nothing. */
const runners = new Set(["poetry", "uv", "pipenv", "pdm", "hatch", "rye", "doppler", "dotenv", "coverage"]);

function ofWords(words: string[], shell: Shell): Step[] {
  const env: Record<string, string> = {};
  let rest = words;
  for (;;) {
    const [first = "", second = ""] = rest;
    const assigned = /^([A-Za-z_]\w*)=(.*)$/s.exec(first);
    if (assigned !== null) env[assigned[1] ?? ""] = assigned[2] ?? "";
    else if (!keywords.has(first)) {
      const inner = unwrapped(nameOf(first), second, rest);
      if (inner === undefined) break;
      rest = inner;
      continue;
    }
    rest = rest.slice(1);
  }
  const [first = "", ...args] = rest;
  if (first === "") Object.assign(shell.variables, env);
  return first === "" ? [] : ofProgram(first, args, env, shell);
}

/** What a wrapper runs; undefined if it is none. */
function unwrapped(name: string, second: string, words: string[]): string[] | undefined {
  const own = wrappers[name];
  if (own === undefined) return undefined;
  if (runners.has(name) && second !== "run") return [];
  const separator = words.indexOf("--");
  if (separator > 0) return words.slice(separator + 1);
  let index = 1 + own;
  while (words[index]?.startsWith("-")) index += takesValue.test(words[index] ?? "") ? 2 : 1;
  return words.slice(index);
}

const takesValue = /^(?:-u|-p|--with|--extra|--group|--python|--package|--env-file|-t|--service_name)$/;

function nameOf(program: string): string {
  return program.slice(program.lastIndexOf("/") + 1);
}

function ofProgram(first: string, args: string[], env: Record<string, string>, shell: Shell): Step[] {
  const name = nameOf(first);
  const inner = { ...shell, depth: shell.depth + 1 };
  if (name === "cd" || name === "export") return changed(name, args, shell);
  if (/^(?:ba|da|z|a)?sh$/.test(name)) {
    const flag = args.findIndex((word) => /^-\w*c$/.test(word));
    if (flag >= 0) return read(args[flag + 1] ?? "", inner);
    return ofScript(args.find((word) => !word.startsWith("-")) ?? "", args.slice(1), inner);
  }
  if (/\.(?:sh|bash)$/.test(name) || (first.includes("/") && /^(?:entrypoint|start|run|serve)$/.test(name))) {
    return ofScript(first, args, inner);
  }
  if (/^python[\d.]*$/.test(name)) return ofPython(args, env, inner);
  // Also behind a starter of the project's own.
  const supervisor = [name, ...args].indexOf("supervisord");
  if (supervisor >= 0) return ofSupervisord(args.slice(supervisor), inner);
  return [{ program: name, args, env, folder: shell.folder }];
}

/** What supervisord starts, each with the name of its program: its file is read as a script is. */
function ofSupervisord(args: string[], shell: Shell): Step[] {
  const index = args.findIndex((word) => /^(?:-c|--configuration)(?:=|$)/.test(word));
  const given = args[index]?.split("=")[1] ?? (index < 0 ? undefined : args[index + 1]);
  const file = inProject(given ?? "supervisord.conf", shell);
  const text = file === undefined ? "" : (shell.files.read(file) ?? "");
  return text.length > largest
    ? []
    : supervised(text).flatMap(({ name, command }) =>
        read(command, { ...shell, variables: { ...shell.variables } }).map((step) => ({ ...step, unit: name })),
      );
}

const largest = 100_000;

/** The programs of a file of supervisor, and the line of each. */
export function supervised(
  text: string,
): { name: string; line: number; command: string; values: Map<string, string> }[] {
  return readIni(text).flatMap(({ name, line, values }) => {
    const [, program] = /^program:(.+)$/.exec(name) ?? [];
    const written = values.get("command");
    if (program === undefined || written === undefined) return [];
    const folder = values.get("directory");
    const command = `${folder === undefined ? "" : `cd '${folder}' && `}${written.replace(/%%/g, "%")}`;
    return [{ name: program, line, command, values }];
  });
}

/** What changes the shell itself starts nothing. */
function changed(name: string, args: string[], shell: Shell): Step[] {
  if (name === "cd") shell.folder = inProject(args[0] ?? "", shell) ?? shell.folder;
  else exported(args, shell);
  return [];
}

function exported(words: string[], { variables }: Shell): void {
  for (const word of words) {
    const [, key, text = ""] = /^(\w+)=(.*)$/s.exec(word) ?? [];
    if (key !== undefined) variables[key] = text;
  }
}

function ofPython(given: string[], env: Record<string, string>, shell: Shell): Step[] {
  const [first, module, ...args] = given.slice(given.findIndex((word) => !/^-[uOBEsI]+$/.test(word)));
  const { folder } = shell;
  if (first !== "-m" || module === undefined) {
    // A script of an image, such as /opt/shop/manage.py, lies in the project.
    const script = first?.endsWith(".py") && first.startsWith("/") ? (inProject(first, shell) ?? first) : first;
    return [{ program: "python", args: [script, module, ...args].filter((word) => word !== undefined), env, folder }];
  }
  // `python -m poetry run gunicorn`
  return wrappers[module] === undefined ? [{ program: module, args, env, folder }] : ofWords([module, ...args], shell);
}

/** The commands of a script of the project; of one that ends in `exec "$@"` also what it is given. */
function ofScript(path: string, args: string[], shell: Shell): Step[] {
  const file = inProject(path, shell);
  const text = file === undefined ? undefined : shell.files.read(file);
  const given = args.length > 0 && (text === undefined || text.includes('"$@"')) ? read(args, shell) : [];
  return [...(text === undefined ? [] : read(text.replace(/^#!.*/, ""), shell)), ...given];
}

/** A path of an image, such as /app/start.sh, as one of the project: the longest end of it that is there. */
export function inProject(path: string, { files, folder }: Pick<Shell, "files" | "folder">): string | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== "." && part !== "..");
  for (let index = 0; index < parts.length; index++) {
    const end = parts.slice(index).join("/");
    const found = [folder === "" ? end : `${folder}/${end}`, end].find((each) => isThere(files, each));
    if (found !== undefined) return found;
  }
  return undefined;
}

function isThere(files: ProjectFiles, path: string): boolean {
  return files.exists(path) || (files.paths?.() ?? []).some((each) => each.startsWith(`${path}/`));
}
