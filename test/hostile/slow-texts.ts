import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRequirements } from "../../action/python/requirements.ts";
import { includesDirectory, parseIni } from "../../agent/doctor/supervisor-conf.ts";
import { mask } from "../../agent/logger.ts";
import { hints } from "../../shared/causes/hints.ts";
import { lastTraceback } from "../../shared/causes/traceback.ts";
import { stepsOf } from "../../shared/detect/command-line.ts";
import { ownPrograms } from "../../shared/detect/console-scripts.ts";
import { survey } from "../../shared/detect/detect.ts";
import type { ProjectFiles } from "../../shared/project-clues.ts";
import { namedPython } from "../../shared/python-version.ts";
import { repository } from "../harness/places.ts";

/** What reads texts of repositories, apps and callers, and the longest of them in characters. */
export interface Reader {
  name: string;
  longest: number;
  /** It is asked for fewer texts. */
  few?: true;
  read(text: string): unknown;
}

const parts = [
  ...[..." aA1.,/-_=:;([\"'\\%*<!~#@$+\n\t"],
  ...[
    ",==1",
    "a ",
    "==1 ",
    "a.",
    "./",
    "a,",
    "a=",
    ": ",
    "eyJ",
    "git+",
    "[a",
    " ;",
    " #",
    "a*",
    "-r ",
    "lib.so",
    "lib",
  ],
  ...["(a", "a(", "-a", "\na", "a:", "a: ", "celery ", "uwsgi", "a=b ", "x=[", "3.1"],
];
const begins = ["a", "a==1", "[a]\nx", "libw-", "", "[program:a]\ncommand=", "web: "];
const ends = ["", "_", " x", "\u2028", "\0", "/"];

/** Texts of a length, each of one part again and again, with another beginning and another end. */
export function* slowTexts({ longest, few }: Reader): Generator<string> {
  for (const part of parts) {
    const middle = part.repeat(Math.floor(longest / part.length));
    for (const begin of few ? begins.slice(-3) : begins)
      for (const end of few ? ends.slice(0, 2) : ends) yield `${begin}${middle}${end}`;
  }
}

function* patternsIn(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  if ("pattern" in value && typeof value.pattern === "string") yield value.pattern;
  for (const inner of Object.values(value)) yield* patternsIn(inner);
}

const schema: unknown = JSON.parse(readFileSync(join(repository, "shared/cutover.schema.json"), "utf8"));
/** A project with one file. YAML and Dockerfiles are read by packages, which take seconds for the largest that is read. */
function projectOf(file: string, text: string): ProjectFiles {
  return {
    read: (path) => (path === file ? text : undefined),
    exists: (path) => path === file,
    folders: () => [],
    paths: () => [file],
    python: () => ({ modules: {}, skipped: [], complete: true }),
    writes: () => [],
    djangoSettings: () => undefined,
  };
}

const projectFiles = [
  ...["Procfile", "supervisord.conf", "shop.service", "start.sh", "Makefile"],
  ...["uwsgi.ini", "gunicorn.conf.py", "setup.cfg", "setup.py", "pyproject.toml", "requirements.txt", "README.md"],
  ...["environment.yml", "Pipfile", "fly.toml", "production.ini", "wsgi.py"],
];
const directory = mkdtempSync(join(tmpdir(), "cutover-slow-"));
process.on("exit", () => rmSync(directory, { recursive: true }));

const confDir = "/etc/supervisor/conf.d";

export const readers: Reader[] = [
  ...[...new Set(patternsIn(schema))].map((pattern) => {
    const compiled = new RegExp(pattern, "u");
    return { name: `cutover.yml: ${pattern}`, longest: 4096, read: (text: string) => compiled.test(text) };
  }),
  // The search for a cause looks at so much of a line.
  ...hints.map(({ id, pattern }) => ({
    name: `hint: ${id}`,
    longest: 2000,
    read: (text: string) => pattern.test(text),
  })),
  { name: "a traceback", longest: 2000, read: (text) => lastTraceback([text], () => undefined) },
  { name: "the agent's log", longest: 16_000, read: mask },
  { name: "supervisord.conf", longest: 100_000, read: parseIni },
  {
    name: "the include of supervisord.conf",
    longest: 4000,
    read: (text) =>
      includesDirectory({ path: `${confDir}.conf`, ini: parseIni(`[include]\nfiles=${confDir}/${text}x`) }, confDir),
  },
  ...projectFiles.map((file) => ({
    ...{ name: `the project's ${file}`, longest: 10_000, few: true as const },
    read: (text: string) => survey(projectOf(file, text)),
  })),
  ...[".python-version", "runtime.txt", ".tool-versions"].map((file) => ({
    ...{ name: file, longest: 10_000, read: (text: string) => namedPython(projectOf(file, text)) },
  })),
  { name: "setup.cfg", longest: 10_000, read: (text) => ownPrograms(projectOf("setup.cfg", `console_scripts${text}`)) },
  {
    ...{ name: "requirements for pip", longest: 10_000, few: true },
    read(text) {
      writeFileSync(join(directory, "requirements.txt"), text);
      readRequirements({ directory, requirements: ["requirements.txt"], arguments: [], env: {} });
    },
  },
  {
    ...{ name: "a script whose lines double a variable", longest: 10, few: true as const },
    read: (text) => stepsOf(`export A='${text}'; ${"export A=$A$A; ".repeat(40)}shop`, projectOf("a", "")),
  },
];
