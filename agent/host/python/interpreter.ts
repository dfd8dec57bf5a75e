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
  /** Where its virtual environments' `python` leads. */
  base: string;
  /** It is one of a virtual environment, with packages of its own. */
  virtual: boolean;
  /** The part of a .pyc file's name that distinguishes interpreters, such as cpython-311. */
  cacheTag: string;
}

const run = promisify(execFile);
const answer = z.object({
  real: z.string(),
  base: z.string(),
  virtual: z.boolean().default(false),
  version: z.string(),
  cacheTag: z.string(),
});
const question = `import json, os, platform, sys
print(json.dumps({"real": os.path.realpath(sys.executable), "base": sys._base_executable, "virtual": sys.prefix != sys.base_prefix, "version": platform.python_version(), "cacheTag": sys.implementation.cache_tag}))`;

/** Without the package, the wheel from which `venv` installs pip. */
const pipQuestion = `try: from pip import __version__ as found
except ImportError: import ensurepip; found = ensurepip.version()
print(found)`;

/** The whole environment of interpreters and pip. Nothing of the agent's own environment is in it. */
export const interpreterEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8", HOME: "/nonexistent" };

/** The Pythons of some directories. Their answers are remembered, so that a deploy need not start each of them again. */
export class Interpreters {
  readonly #directories: string[];
  readonly #answers = new Map<string, { file: string; interpreter: Interpreter }>();

  constructor(directories: string[]) {
    this.#directories = directories;
  }

  /**
   * The Python that a release runs on: `python3.11` for version 3.11, otherwise the host's `python3`.
   * @throws CutoverError python_not_found, which lists the existing ones
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
    throw await notFound(this.#directories, version, (await this.versions())[0]);
  }

  /** The versions that are there (major, minor), each once: that of `python3` first, which a release gets that names none. */
  async versions(): Promise<string[]> {
    const paths = (await Promise.all(this.#directories.map(pythonsIn))).flat();
    const usual = paths.filter((path) => path.endsWith("/python3"));
    const found = await Promise.all([...usual, ...paths].map((path) => this.#ask(path)));
    const versions = found.map((one) => /^\d+\.\d+/.exec(one?.version ?? "")?.[0]);
    return [...new Set(versions.filter((version) => version !== undefined))];
  }

  async #ask(path: string): Promise<Interpreter | undefined> {
    const file = await fileBehind(path);
    if (file === undefined) return undefined;
    const known = this.#answers.get(path);
    if (known?.file === file.state) return known.interpreter;
    const interpreter = await ask(path);
    // A wrapper script such as pyenv's may start another Python tomorrow, and not change itself.
    if (interpreter?.real === file.real) this.#answers.set(path, { file: file.state, interpreter });
    return interpreter;
  }
}

/**
 * The program that makes an environment, and to which the environment leads. A distribution's `python3` is another version after an
 * upgrade, while the environment's packages stay those of the old one. So it is the file itself, such as python3.11.
 */
export function makerOf({ path, real, virtual }: Interpreter): string {
  return virtual ? path : real;
}

/** The version (major, minor) of an interpreter's pip; undefined if it has neither pip nor its wheel. */
export async function pipVersion({ path }: Interpreter): Promise<[number, number] | undefined> {
  try {
    const { stdout } = await run(path, ["-I", "-c", pipQuestion], { env: interpreterEnvironment });
    const [, major, minor] = /^(\d+)\.(\d+)/.exec(stdout) ?? [];
    return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
  } catch {
    return undefined;
  }
}

/** The executable file behind a path, and a text that changes when Python is upgraded; undefined if there is none. */
async function fileBehind(path: string): Promise<{ real: string; state: string } | undefined> {
  try {
    await access(path, constants.X_OK);
    const real = await realpath(path);
    // ctime: unlike mtime, a package cannot set it back.
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
    // This is no Python that works here.
    return undefined;
  }
}

/** @param usual the version of the host's python3 */
async function notFound(
  directories: string[],
  version: string | undefined,
  usual: string | undefined,
): Promise<CutoverError> {
  const there = (await Promise.all(directories.map(pythonsIn))).flat();
  const wanted = version === undefined ? "python3" : `Python ${version}`;
  const found = there.length === 0 ? "it has none there" : `it has ${there.join(", ")}`;
  return new CutoverError("python_not_found", `The host has no ${wanted} in ${directories.join(", ")}; ${found}.`, {
    unchanged: "The live release goes on serving.",
    fix:
      version === undefined
        ? "Install python3 on the host, or name its directory under `python_path` in agent.yml."
        : `${usual === undefined ? "" : `Write \`python-version: "${usual}"\` for actions/setup-python in the workflow, which packs the wheels for that version; if cutover.yml or the project names another \`python.version\`, change that too. Or: `}${usual === undefined ? "Install" : "install"} it on the host, or name its directory under \`python_path\` in agent.yml.`,
  });
}

async function pythonsIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => /^python3(?:\.\d+)?$/.test(name)).map((name) => join(directory, name));
}
