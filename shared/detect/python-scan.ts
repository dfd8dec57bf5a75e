import { execFile, spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { z } from "zod";
import { pythonProgram } from "./python-program.ts";

/**
 * What an expression is, as far as its text shows it. Names are dotted from the top of the project or of a package:
 * `flask.Flask`, `shop.main.create_app`; `?.name` for what this file neither defines nor imports.
 */
export interface PythonValue {
  call?: string | null | undefined;
  name?: string | null | undefined;
  text?: string | undefined;
  /** Of a call. */
  args?: (PythonValue | null)[] | undefined;
  given?: number | undefined;
  /** What is read of the value: `server` of `app.server`. */
  attribute?: string | undefined;
}

const value: z.ZodType<PythonValue> = z.lazy(() =>
  z.object({
    call: z.string().nullish(),
    name: z.string().nullish(),
    text: z.string().optional(),
    args: z.array(value.nullable()).optional(),
    given: z.int().optional(),
    attribute: z.string().optional(),
  }),
);

const pythonFunction = z.object({
  name: z.string(),
  line: z.int(),
  async: z.boolean(),
  params: z.array(z.string()),
  /** Parameters without a default. */
  required: z.array(z.string()),
  returns: z.array(value),
  /** Its parameters are those of a WSGI or ASGI application. */
  gateway: z.enum(["wsgi", "asgi"]).nullable(),
  decorators: z.array(z.string().nullable()),
});
export type PythonFunction = z.output<typeof pythonFunction>;

export const pythonModule = z.object({
  /** As it is imported from the top of the project, or of `src`. */
  module: z.string(),
  assigned: z.array(z.object({ name: z.string(), line: z.int(), value })),
  functions: z.array(pythonFunction),
  classes: z.record(z.string(), z.object({ bases: z.array(z.string()), gateway: z.enum(["wsgi", "asgi"]).nullable() })),
  /** Calls that start a server or give it an application, such as `aiohttp.web.run_app`. */
  runs: z.array(
    z.object({
      what: z.string(),
      args: z.array(value.nullable()),
      line: z.int(),
      keywords: z.array(z.string()),
    }),
  ),
  /** The options that it reads from its command line: `--port`, or `port` with Tornado. */
  options: z.array(z.string()),
  /** The command lines that it defines; the one without a name is the program's own. */
  commands: z.array(
    z.object({
      name: z.string(),
      options: z.array(z.string()),
      /** Arguments without which it does not start. */
      needs: z.array(z.string()),
      /** It needs no name if it is the only one. */
      alone: z.boolean(),
      line: z.int(),
    }),
  ),
  /** The variables that it reads. */
  environ: z.array(z.string()),
  /** The first line that has to do with WebSockets. */
  websocket: z.int().nullable(),
  /** Names that are given a text. `environ.X` is `os.environ.setdefault("X", ...)`. */
  strings: z.record(z.string(), z.string()),
  /** It has a part for when it is run as a script. */
  main: z.boolean(),
  /** How many calls look like routes. */
  routes: z.int(),
  /** The names that are handed to what may wrap them, such as `app = Middleware(inner)`; by `mount`: to what surely contains them. */
  wraps: z.array(z.object({ by: z.string(), names: z.array(z.string()) })),
  /** Packages whose metadata it reads, and without which it fails. */
  metadata: z.array(z.object({ name: z.string(), line: z.int() })),
  imports: z.record(z.string(), z.string()),
  star: z.array(z.string()),
});
export type PythonModule = z.output<typeof pythonModule>;
export type PythonCommand = PythonModule["commands"][number];

const pythonScan = z.object({
  modules: z.record(z.string(), pythonModule),
  /** Paths that could not be read, with the reason. */
  skipped: z.array(z.tuple([z.string(), z.string()])),
  /** false: there was no time for all of them. */
  complete: z.boolean(),
});

/** By path. */
export type PythonScan = z.output<typeof pythonScan>;

const answer = pythonScan.extend({
  /** How many of the paths it has got to. */
  looked: z.int(),
  /** Its version: another one may read the same text otherwise. */
  python: z.string(),
});
export type PythonAnswer = z.output<typeof answer>;

const nothing: PythonAnswer = { modules: {}, skipped: [], complete: false, looked: 0, python: "" };

/** How much processor time Python may take: on a busy machine it finds the same. The files that matter come first. */
const budgetSeconds = 0.7;
const limitMs = 30_000;

/**
 * Has Python parse the files of a project. Nothing of the project is imported, and its directory is not on Python's path.
 * @param paths in the order of their weight
 * @returns nothing found if this machine has no python3 of 3.8 or later
 */
export function scanPython(directory: string, paths: string[]): PythonScan {
  if (paths.length === 0) return { ...nothing, complete: true };
  const { status, stdout } = spawnSync("python3", argvFor(directory), { ...options, input: paths.join("\n") });
  return status === 0 ? parsed(stdout.toString("utf8")) : nothing;
}

/**
 * The same while this process does something else: Python has started when this returns, and waits to be told what to read.
 * @returns what tells it, once. The promise never rejects.
 */
export function startPython(directory: string): (paths: string[]) => Promise<PythonAnswer> {
  const { promise, resolve } = Promise.withResolvers<PythonAnswer>();
  const python = execFile("python3", argvFor(directory), options, (error, stdout) => {
    resolve(error === null ? parsed(stdout) : nothing);
  });
  // Without python3, or if it ends early, the callback says so.
  python.stdin?.on("error", () => {});
  return (paths) => {
    python.stdin?.end(paths.join("\n"));
    return promise;
  };
}

const options = { timeout: limitMs, maxBuffer: 64 * 1024 * 1024, cwd: "/" };

function argvFor(directory: string): string[] {
  return ["-I", "-S", "-c", pythonProgram, resolve(directory), String(budgetSeconds)];
}

function parsed(printed: string): PythonAnswer {
  try {
    return answer.parse(JSON.parse(printed));
  } catch {
    return nothing;
  }
}
