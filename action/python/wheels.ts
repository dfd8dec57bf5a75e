import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileBelow, findCause } from "../../shared/causes/cause.ts";
import type { Config } from "../../shared/config.ts";
import { parseSource } from "../../shared/dependencies/form.ts";
import { CutoverError } from "../../shared/errors.ts";
import { configFault } from "../project/config.ts";
import type { PackFile } from "../project/walk.ts";
import type { Exec, ExecRequest } from "../runner/exec.ts";
import { withoutSecrets } from "../runner/secrets.ts";
import { cacheDirectory, cached, hideFromGit } from "./cache.ts";
import { currentCommits } from "./git-references.ts";
import { findPython, type Interpreter, type PythonContext } from "./interpreter.ts";
import { type PipRun, pipRuns } from "./pip-plan.ts";
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
  /** The interpreter whose pip got them. */
  from: Interpreter;
  /** Some of them work only with this version or machine. */
  platformSpecific: boolean;
  reused: boolean;
}

/** `python.wheels`, its default resolved: vendor when there are requirements. @throws CutoverError config_invalid */
export function wheelsMode(config: Config, directory: string): "vendor" | "index" | "none" {
  const { wheels, requirements, extra = [] } = config.python;
  const there = existsSync(join(directory, parseSource(requirements).file)) || extra.length > 0;
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
  const runs = await pipRuns(config, context);
  const { extra = [] } = config.python;
  const requirements = readRequirements({
    directory,
    requirements: runs.flatMap(({ files }) => files),
    arguments: [...extra, ...pipArguments],
    env,
  });
  const commits = await currentCommits(requirements.references, context);
  const parts = [version, python.version, python.machine, ...extra, ...pipArguments, ...(commits ?? [])];
  const key = wheelsKey(requirements, parts, env);
  await hideFromGit(directory);
  const folder = join(directory, cacheDirectory, "wheels", key);
  const reusable = requirements.complete && commits !== undefined;
  const { reused } = await cached(folder, reusable, async (into) => {
    for (const run of runs) await runPip(config, context, { python, run, into });
  });
  const names = readdirSync(folder).filter((name) => name.endsWith(".whl"));
  return {
    files: names.map((name) => ({ path: `wheels/${name}`, source: join(folder, name), mode: 0o644 })),
    key,
    version,
    interpreter: python.version === version ? python : undefined,
    from: python,
    platformSpecific: names.some((name) => !name.endsWith("-none-any.whl")),
    reused,
  };
}

async function runPip(
  config: Config,
  context: WheelsContext,
  { python, run, into }: { python: Interpreter; run: PipRun; into: string },
): Promise<void> {
  const { directory, env, exec, onLine, signal, pipArguments } = context;
  const argv = pipCommand(python, config.python.version ?? python.version, run.wanted, into);
  const command = {
    argv: [...argv, ...pipArguments],
    cwd: directory,
    env: {
      SOURCE_DATE_EPOCH: buildTime,
      ...withoutSecrets(env),
      PIP_DISABLE_PIP_VERSION_CHECK: "1",
      PIP_NO_INPUT: "1",
    },
    onLine,
    signal,
  };
  const { ok, how, output } = await exec(command);
  if (ok) return;
  const refused = /\(from versions: none\)/.test(output)
    ? await whatPipSkips(command, exec, join(into, "pip.log"))
    : "";
  const said = `${output}${refused}`;
  const cause = findCause(said, {
    ...{ app: config.app, where: "runner" as const, projectFile: fileBelow(directory), lastLine: true },
  });
  const why = cause?.line ?? how;
  throw new CutoverError("wheels_failed", `pip could not get the wheels for ${config.python.requirements}: ${why}`, {
    unchanged: "Nothing was sent.",
    fix: /No module named pip/.test(output)
      ? "Put actions/setup-python before this step: this runner's python3 has no pip."
      : (cause?.fix ??
        "Read pip's message. For an index or a folder of your own, give --index-url or --find-links in pip-arguments."),
    evidence: [{ source: "pip", text: said }],
  });
}

/**
 * An index that refuses a job or fails, and one that has the package for another system alone, look to pip like one without
 * the package: only a log of its own tells them apart, without passwords. With such a log pip no longer shows what builds
 * print, so it is asked a second time.
 */
async function whatPipSkips(command: ExecRequest, exec: Exec, log: string): Promise<string> {
  await exec({ ...command, env: { ...command.env, PIP_LOG: log }, onLine: () => undefined });
  if (!existsSync(log)) return "";
  const lines = readFileSync(log, "utf8").matchAll(
    /^\S+ +(Could not fetch URL \S+: .+|Skipping link: none of the wheel's tags .+)$/gm,
  );
  rmSync(log);
  return [...new Set([...lines].map(([, line]) => `${line}\n`))].slice(-maxRefused).join("");
}

const maxRefused = 5;

/**
 * The time of the files in a wheel that is built here, in seconds: the earliest that a wheel can hold. With the times of a
 * fresh checkout the same source code would give other bytes each time, and each host would build its environment again.
 */
const buildTime = "315532800";

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
