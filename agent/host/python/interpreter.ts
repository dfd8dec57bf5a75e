import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { CutoverError } from "../../../shared/errors.ts";

/** A Python of the host, as it describes itself. */
export interface Interpreter {
  /** Where it was found. */
  path: string;
  /** Its file, after all symlinks. */
  real: string;
  /** Such as 3.11.2. */
  version: string;
  /** The part of a .pyc file's name that tells interpreters apart, such as cpython-311. */
  cacheTag: string;
}

const run = promisify(execFile);
const answer = z.object({ real: z.string(), version: z.string(), cacheTag: z.string() });
const question = `import json, os, platform, sys
print(json.dumps({"real": os.path.realpath(sys.executable), "version": platform.python_version(), "cacheTag": sys.implementation.cache_tag}))`;

/** The agent's own environment is none of an interpreter's business. */
export const interpreterEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8", HOME: "/nonexistent" };

/** The Pythons of some directories. What each says of itself is remembered: a deploy would start one only to hear it again. */
export class Interpreters {
  readonly #directories: string[];
  readonly #answers = new Map<string, { file: string; interpreter: Interpreter }>();

  constructor(directories: string[]) {
    this.#directories = directories;
  }

  /**
   * The Python that a release runs on: `python3.11` for version 3.11, otherwise the host's `python3`.
   * @throws CutoverError python_not_found, which lists those that are there
   */
  async find(version: string | undefined): Promise<Interpreter> {
    const names = version === undefined ? ["python3"] : [`python${version}`, "python3"];
    for (const name of names) {
      for (const directory of this.#directories) {
        const interpreter = await this.#ask(join(directory, name));
        if (interpreter === undefined) continue;
        if (version === undefined || interpreter.version.startsWith(`${version}.`)) return interpreter;
      }
    }
    throw await notFound(this.#directories, version);
  }

  async #ask(path: string): Promise<Interpreter | undefined> {
    const file = await fileBehind(path);
    if (file === undefined) return undefined;
    const known = this.#answers.get(path);
    if (known?.file === file.state) return known.interpreter;
    const interpreter = await ask(path);
    // A script in front of Python, as pyenv has it, may start another one tomorrow without being changed itself.
    if (interpreter?.real === file.real) this.#answers.set(path, { file: file.state, interpreter });
    return interpreter;
  }
}

/** pip's version for an interpreter of the host, as numbers; undefined where it has none. */
export async function pipVersion({ path }: Interpreter): Promise<[number, number] | undefined> {
  try {
    const { stdout } = await run(path, ["-I", "-m", "pip", "--version"], { env: interpreterEnvironment });
    const [, major, minor] = /^pip (\d+)\.(\d+)/.exec(stdout) ?? [];
    return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
  } catch {
    return undefined;
  }
}

/** The file that a path leads to, and its state: an upgrade of Python writes another one. Undefined where none can be run. */
async function fileBehind(path: string): Promise<{ real: string; state: string } | undefined> {
  try {
    await access(path, constants.X_OK);
    const real = await realpath(path);
    // The time of the inode's own change: unlike the file's time, a package cannot set it back.
    const { dev, ino, size, ctimeMs } = await stat(real);
    return { real, state: [real, dev, ino, size, ctimeMs].join(" ") };
  } catch {
    return undefined;
  }
}

async function ask(path: string): Promise<Interpreter | undefined> {
  try {
    const { stdout } = await run(path, ["-I", "-c", question], { env: interpreterEnvironment, timeout: 10_000 });
    return { path, ...answer.parse(JSON.parse(stdout)) };
  } catch {
    // Not a Python that works here.
    return undefined;
  }
}

async function notFound(directories: string[], version: string | undefined): Promise<CutoverError> {
  const there = (await Promise.all(directories.map(pythonsIn))).flat();
  const wanted = version === undefined ? "python3" : `Python ${version}`;
  const found = there.length === 0 ? "none is" : `there ${there.length === 1 ? "is" : "are"} ${there.join(", ")}`;
  return new CutoverError("python_not_found", `The host has no ${wanted} in ${directories.join(", ")}; ${found}.`, {
    unchanged: "The live release goes on serving.",
    fix:
      version === undefined
        ? "Install python3 on the host, or name its directory under `python_path` in agent.yml."
        : "Install it on the host, name its directory under `python_path` in agent.yml, or change `python.version`.",
  });
}

async function pythonsIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => /^python3(?:\.\d+)?$/.test(name)).map((name) => join(directory, name));
}
