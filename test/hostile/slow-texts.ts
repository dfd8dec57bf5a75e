import { readFileSync } from "node:fs";
import { join } from "node:path";
import { includesDirectory, parseIni } from "../../agent/doctor/supervisor-conf.ts";
import { mask } from "../../agent/logger.ts";
import { hints } from "../../shared/causes/hints.ts";
import { lastTraceback } from "../../shared/causes/traceback.ts";
import { repository } from "../harness/places.ts";

/** What reads texts of repositories, apps and callers, and the longest of them in characters. */
export interface Reader {
  name: string;
  longest: number;
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
const begins = ["", "a", "a==1", "[a]\nx", "libw-", "[program:a]\ncommand=", "web: "];
const ends = ["", "_", " x", "\u2028", "\0", "/"];

/** Texts of a length, each of one part again and again, with another beginning and another end. */
export function* slowTexts(length: number): Generator<string> {
  for (const part of parts) {
    const middle = part.repeat(Math.floor(length / part.length));
    for (const begin of begins) for (const end of ends) yield `${begin}${middle}${end}`;
  }
}

function* patternsIn(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  if ("pattern" in value && typeof value.pattern === "string") yield value.pattern;
  for (const inner of Object.values(value)) yield* patternsIn(inner);
}

const schema: unknown = JSON.parse(readFileSync(join(repository, "shared/cutover.schema.json"), "utf8"));
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
  { name: "supervisord.conf", longest: 200_000, read: parseIni },
  {
    name: "the include of supervisord.conf",
    longest: 4000,
    read: (text) =>
      includesDirectory({ path: `${confDir}.conf`, ini: parseIni(`[include]\nfiles=${confDir}/${text}x`) }, confDir),
  },
];
