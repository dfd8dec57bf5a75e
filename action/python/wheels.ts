import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { configFault } from "../project/config.ts";
import type { PackFile } from "../project/walk.ts";
import { childEnvironment } from "../runner/exec.ts";
import { cacheDirectory, cached, hideFromGit } from "./cache.ts";
import { findPython, type Interpreter, type PythonContext } from "./interpreter.ts";
import { readRequirements, wheelsKey } from "./requirements.ts";

export interface WheelsContext extends PythonContext {
  pipArguments: string[];
  /** Each line that pip prints. */
  onLine(line: string): void;
}

export interface VendoredWheels {
  files: PackFile[];
  key: string;
  /** The version of Python that they are for. */
  version: string;
  /** undefined if the machine has no interpreter of that version. */
  interpreter: Interpreter | undefined;
  /** Some of them work only with this version or machine. */
  platformSpecific: boolean;
  reused: boolean;
}

/** `python.wheels`, its default resolved: vendor when there are requirements. @throws CutoverError config_invalid */
export function wheelsMode(config: Config, directory: string): "vendor" | "index" | "none" {
  const { wheels, requirements, extra = [] } = config.python;
  const there = existsSync(join(directory, requirements)) || extra.length > 0;
  if (!there && (wheels === "vendor" || wheels === "index")) {
    throw configFault(
      "python.wheels",
      `it is ${wheels}, but the project has no ${requirements}`,
      "Add the file, correct python.requirements, or set python.wheels to none.",
    );
  }
  return wheels ?? (there ? "vendor" : "none");
}

/**
 * The wheels of the requirements and their dependencies, from pip or from an earlier run with the same requirements.
 * @throws CutoverError wheels_failed (evidence: pip's own message), python_not_found
 */
export async function vendorWheels(config: Config, context: WheelsContext): Promise<VendoredWheels> {
  const { directory, env, pipArguments } = context;
  const python = await findPython(config, context);
  const version = config.python.version ?? python.version;
  const { requirements: file, extra = [] } = config.python;
  const requirements = readRequirements({ directory, requirements: file, arguments: [...extra, ...pipArguments], env });
  const key = wheelsKey(requirements, [version, python.version, python.machine, ...extra, ...pipArguments], env);
  await hideFromGit(directory);
  const folder = join(directory, cacheDirectory, "wheels", key);
  const { reused } = await cached(folder, requirements.complete, (into) => runPip(config, context, python, into));
  const names = readdirSync(folder).filter((name) => name.endsWith(".whl"));
  return {
    files: names.map((name) => ({ path: `wheels/${name}`, source: join(folder, name), mode: 0o644 })),
    key,
    version,
    interpreter: python.version === version ? python : undefined,
    platformSpecific: names.some((name) => !name.endsWith("-none-any.whl")),
    reused,
  };
}

async function runPip(config: Config, context: WheelsContext, python: Interpreter, into: string): Promise<void> {
  const { directory, env, exec, onLine, signal, pipArguments } = context;
  const { requirements, extra = [] } = config.python;
  // Without a requirements file the extra packages are all that there is.
  const wanted = [...(existsSync(join(directory, requirements)) ? ["--requirement", requirements] : []), ...extra];
  const argv = pipCommand(python, config.python.version ?? python.version, wanted, into);
  const { ok, how, output } = await exec({
    argv: [...argv, ...pipArguments],
    cwd: directory,
    env: { ...childEnvironment(env), PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" },
    onLine,
    signal,
  });
  if (ok) return;
  throw new CutoverError("wheels_failed", `pip could not get the wheels for ${config.python.requirements}. ${how}`, {
    unchanged: "Nothing was sent.",
    fix: /No module named pip/.test(output)
      ? "Put actions/setup-python before this step: this runner's python3 has no pip."
      : "Read pip's message. For an index or a folder of your own, give --index-url or --find-links in pip-arguments.",
    evidence: [{ source: "pip", text: output }],
  });
}

/**
 * `pip wheel` builds if it must. For another version of Python pip can only download what exists as a wheel.
 * @param wanted what pip is asked for: files of requirements, and packages
 */
export function pipCommand(python: Interpreter, version: string, wanted: string[], into: string): string[] {
  const pip = [python.program, "-m", "pip"];
  if (python.version === version) {
    return [...pip, "wheel", "--progress-bar", "off", ...wanted, "--wheel-dir", into];
  }
  const target = ["--only-binary", ":all:", "--python-version", version, "--implementation", "cp"];
  const platform = platformsOf(python).flatMap((name) => ["--platform", name]);
  return [...pip, "download", "--progress-bar", "off", ...target, ...platform, ...wanted, "--dest", into];
}

/** What runs with this machine's C library, the newest first. `pip wheel` packs for the same. */
function platformsOf({ libc, machine }: Interpreter): string[] {
  const [, minor] = /^glibc 2\.(\d+)/.exec(libc) ?? [];
  if (minor === undefined) return ["musllinux_1_2", "musllinux_1_1"].map((name) => `${name}_${machine}`);
  const count = Math.max(0, Number(minor) - oldestGlibc + 1);
  const numbers = Array.from({ length: count }, (_, index) => Number(minor) - index);
  return [...numbers.map((each) => `manylinux_2_${each}_${machine}`), `manylinux2014_${machine}`, `linux_${machine}`];
}

/** What manylinux2014 stands for; pip itself adds what is older. */
const oldestGlibc = 17;
