import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { findProgram } from "../../shared/find-program.ts";
import type { Exec } from "../runner/exec.ts";
import { withoutSecrets } from "../runner/secrets.ts";

/** An interpreter on this machine. */
export interface Interpreter {
  program: string;
  /** Major and minor, such as 3.11. */
  version: string;
  /** As Python names it: x86_64, aarch64. */
  machine: string;
  /** Its C library, such as `glibc 2.36`; empty for another one than glibc. */
  libc: string;
  /** Which installation it is, with its patch release: an environment that was made with it works with no other. */
  build: string;
}

export interface PythonContext {
  directory: string;
  env: NodeJS.ProcessEnv;
  exec: Exec;
  signal: AbortSignal;
}

const question = `
import os, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (ValueError, OSError):
    libc = ""
print("%d.%d" % sys.version_info[:2], os.uname().machine, libc, os.path.realpath(sys.executable) + " " + sys.version, sep="\\n")
`;

/**
 * The interpreter of the version that the configuration names. If the machine does not have it, `python3` of another
 * version, whose pip can still download wheels for it.
 * @throws CutoverError python_not_found
 */
export async function findPython(config: Config, context: PythonContext): Promise<Interpreter> {
  const wanted = config.python.version;
  const usual = await interpreter("python3", context);
  if (usual !== undefined && (wanted === undefined || usual.version === wanted)) return usual;
  const exact = wanted === undefined ? undefined : await interpreter(`python${wanted}`, context);
  const found = exact ?? usual;
  if (found !== undefined) return found;
  throw new CutoverError("python_not_found", "There is no python3 on this runner's PATH.", {
    unchanged: "Nothing was sent.",
    fix: "Put actions/setup-python before this step, or set python.wheels in cutover.yml to index or none.",
  });
}

async function interpreter(name: string, { directory, env, exec, signal }: PythonContext) {
  const program = findProgram(name, env.PATH ?? "", directory);
  if (program === undefined) return undefined;
  const argv = [program, "-I", "-S", "-c", question];
  const { ok, stdout } = await exec({ argv, cwd: directory, env: withoutSecrets(env), signal });
  const [version, machine, libc = "", ...build] = stdout.split("\n");
  if (!ok || version === undefined || machine === undefined) return undefined;
  return { program, version, machine, libc, build: build.join("\n") } satisfies Interpreter;
}
