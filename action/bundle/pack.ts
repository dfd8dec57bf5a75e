import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv } from "../../shared/command.ts";
import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { inPhase, type Job } from "../job.ts";
import { startAdvice } from "../project/advice.ts";
import { warnOf } from "../project/check-project.ts";
import { collectStatic } from "../project/collectstatic.ts";
import { checkServerAppPacked } from "../project/server-app.ts";
import { suspectFiles } from "../project/suspect-files.ts";
import type { PackFile } from "../project/walk.ts";
import { buildVenv } from "../python/build-venv.ts";
import { hostRequirements, packedRequirements } from "../python/pip-plan.ts";
import { type VendoredWheels, vendorWheels, type WheelsContext, wheelsMode } from "../python/wheels.ts";
import { type Archive, Bundle } from "./bundle.ts";
import { findCommit, listFiles, listProject, makeManifest, readForBundle, releaseTime } from "./manifest.ts";
import type { ReadFile } from "./read-files.ts";

/** @param version the version of Python that the hosts will need; undefined if any will do */
export type WheelsCheck = (wheels: VendoredWheels, version: string | undefined) => Promise<void>;

/**
 * Makes the bundle of a project: its wheels, its static files, then the manifest over all files. Archives are written
 * when somebody asks the bundle for one.
 * @param onWheels called before anything is made with the wheels; what it throws ends the job
 * @throws CutoverError for whatever is wrong with the project; nothing was sent then
 */
export async function pack(job: Job, onWheels: WheelsCheck = async () => {}): Promise<Bundle> {
  const { config, wheels, files } = await withPackages(job);
  if (wheels !== undefined) await onWheels(wheels, config.python.version);
  const early = await collectWhileReading(job, config, wheels);
  const bundle = await inPhase(job, "manifest", () => describe(job, config, files, early));
  job.report.release = bundle.release;
  job.report.digest = bundle.digest;
  return bundle;
}

/** What the requirements become: the configuration with what was decided about Python, and what is packed for it. */
interface Packages {
  config: Config;
  wheels: VendoredWheels | undefined;
  files: PackFile[];
}

/** The host must not decide again what was decided about Python. */
async function withPackages(job: Job): Promise<Packages> {
  const { config, directory } = job;
  const mode = wheelsMode(config, directory);
  const python = { ...config.python, wheels: mode };
  switch (mode) {
    case "none":
      return { config: { ...config, python: hostPython(python) }, wheels: undefined, files: [] };
    case "index": {
      const file = await hostRequirements(config, wheelsContext(job));
      const named = file === undefined ? python : { ...python, requirements: packedRequirements };
      return { config: { ...config, python: named }, wheels: undefined, files: file === undefined ? [] : [file] };
    }
    case "vendor": {
      const wheels = await withWheels(job);
      const version = python.version ?? (wheels.platformSpecific ? wheels.version : undefined);
      const decided = hostPython({ ...python, ...(version !== undefined && { version }) });
      return { config: { ...config, python: decided }, wheels, files: wheels.files };
    }
  }
}

/** The host reads no file that lies above the project, and older agents refuse such a name. */
function hostPython(python: Config["python"]): Config["python"] {
  return python.requirements.startsWith("../") ? { ...python, requirements: packedRequirements } : python;
}

async function withWheels(job: Job): Promise<VendoredWheels> {
  const wheels = await inPhase(job, "wheels", () => vendorWheels(job.config, wheelsContext(job)));
  job.effects.log.line(`${wheels.files.length} wheels ${wheels.reused ? "of an earlier run" : "from pip"}.`);
  return wheels;
}

/**
 * Collects the static files. Meanwhile the project's own files are read: a collect command takes seconds, in which this
 * process would only wait.
 * @returns what was read; files that the commands change are read again later
 */
async function collectWhileReading(job: Job, config: Config, wheels?: VendoredWheels): Promise<ReadFile[]> {
  if (config.static.every(({ collect }) => collect === undefined)) return job.early;
  return inPhase(job, "collect static files", async () => {
    const context = wheelsContext(job);
    const bin = wheels && (await programsFor(config, wheels, context));
    // The first command has started when this returns. Reading blocks this process, but not the command.
    const collecting = collectStatic(config, { ...context, bin });
    startAdvice(job, { ...context, bin, time: job.effects.time }, collecting);
    const early = readEarly(job, wheels?.files);
    await collecting;
    return early;
  });
}

/**
 * The programs of an environment with the app's packages, for the collect commands.
 * @returns undefined if this runner cannot make one, and no command is known to need it
 * @throws CutoverError python_not_found, wheels_failed
 */
async function programsFor(
  config: Config,
  wheels: VendoredWheels,
  context: WheelsContext,
): Promise<string | undefined> {
  if (wheels.interpreter !== undefined) return buildVenv(config, wheels, wheels.interpreter, context);
  const python = config.static.find(({ collect }) => collect !== undefined && startsPython(collect));
  const what = `The app's packages are for Python ${wheels.version}, which this runner does not have`;
  if (python === undefined) {
    context.onLine(`${what}. The collect commands run without them.`);
    return undefined;
  }
  throw new CutoverError("python_not_found", `${what}, so the files of ${python.url} cannot be collected.`, {
    unchanged: "Nothing was sent.",
    fix: `Put actions/setup-python with \`python-version: "${wheels.version}"\` before this step, or correct python.version in cutover.yml.`,
  });
}

function startsPython(command: string | string[]): boolean {
  const [program = ""] = argv(command);
  return /^(?:.*\/)?python[\d.]*$|\.py$/.test(program);
}

/** A file that cannot be read now, since a command is changing it or is yet to make it, is read later. Only then is it an error. */
export function readEarly({ config, directory, early }: Job, wheels: PackFile[] = []): ReadFile[] {
  try {
    const kept = config.static.every(({ from }) => existsSync(join(directory, from)));
    // Static files of an earlier run: most of them will come out the same.
    const files = kept ? listFiles(config, directory, wheels) : [...listProject(config, directory), ...wheels];
    return readForBundle(files, early);
  } catch {
    return [];
  }
}

/** Lists and hashes every file. */
async function describe(job: Job, config: Config, packages: PackFile[], early: ReadFile[]): Promise<Bundle> {
  const { directory } = job;
  const { env, now, signal } = job.effects;
  const listed = listFiles(config, directory, packages);
  checkServerAppPacked(config, directory, listed);
  const files = readForBundle(listed, early);
  warnOf(job, suspectFiles(files));
  const made = releaseTime(env, now());
  const commit = await findCommit(directory, env);
  const manifest = makeManifest({ config, files, made, repository: env.GITHUB_REPOSITORY ?? "", commit });
  const onPacked = (archive: Archive) => reportPacked(job, archive, files.length);
  return new Bundle({ manifest, files, directory: env.RUNNER_TEMP ?? tmpdir(), signal, onPacked });
}

function reportPacked({ report, effects }: Job, { path, base, files }: Archive, all: number): void {
  // The whole one is good for any host.
  if (base === undefined || report.bundle === undefined) report.bundle = path;
  const [sent, of] = [files, all].map(grouped);
  const release = `${report.release}, manifest ${report.digest}`;
  if (base === undefined) effects.log.line(`Packed ${of} files as ${release}.`);
  else effects.log.line(`Packed ${sent} of ${of} files as ${release}; hosts with ${base} have the others.`);
}

/** 2,947. By hand, since the first toLocaleString of a process takes ten milliseconds. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

function wheelsContext({ inputs, effects, directory }: Job): WheelsContext {
  const { env, exec, signal, log } = effects;
  const onLine = (line: string) => log.untrusted(line);
  const index = inputs.indexUrl === "" ? [] : ["--index-url", inputs.indexUrl];
  return { directory, env, exec, signal, pipArguments: [...index, ...inputs.pipArguments], onLine };
}
