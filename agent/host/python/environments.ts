import { existsSync, lstatSync } from "node:fs";
import { mkdir, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { asCutoverError } from "../../../shared/errors.ts";
import type { BuildContext, Environments } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import type { StepRunner } from "../exec/step.ts";
import { isOwnDirectory } from "../ownership/directory.ts";
import type { Scratch } from "../ownership/scratches.ts";
import { type TakeRequest, takeTree } from "../ownership/take-tree.ts";
import { removeTree } from "../ownership/trees.ts";
import { type AppLayout, appLayout } from "../store/layout.ts";
import { type CompileBytecode, type CompileRequest, compile } from "./compile.ts";
import { interpreterOf } from "./environment-interpreter.ts";
import { environmentContent, environmentKey } from "./environment-key.ts";
import { Interpreters } from "./interpreter.ts";
import { makeVenv, type VenvRequest } from "./venv.ts";

export interface PythonEnvironmentsOptions {
  data: string;
  /** The directories in which python3 and python3.X are found, in this order. */
  pythonPath: string[];
  /** Runs what builds. */
  runStep: StepRunner;
  owner: BuildOwner;
  /** The largest environment. */
  limits: { bytes: number; files: number };
}

/** Where builds work. */
export interface BuildOwner {
  /** A scratch directory for a build; undefined if builds run as the user of this process, which builds in place. */
  scratch(app: string, parts: readonly string[]): Promise<Scratch | undefined>;
  /** Removes the scratch directories of builds that were killed. */
  clear(app: string): Promise<void>;
}

/** What builds environments, here or in the helper. `compile` gives bytecode, and writes nothing. */
export interface EnvironmentBuilder extends Environments {
  build(context: BuildContext): Promise<BuiltEnvironment>;
  compile: CompileBytecode;
}

/** `cacheTag` belongs to the environment's interpreter, such as cpython-311. */
export interface BuiltEnvironment {
  key: string;
  reused: boolean;
  cacheTag: string;
}

const venvKey = /^[0-9a-z]{1,64}$/;
/** Written last. An environment without it is not finished. */
const marker = ".complete";

/** Virtual environments in `<data>/apps/<app>/venvs`, one for each key. Releases with the same key share one. */
export class PythonEnvironments implements EnvironmentBuilder {
  readonly #options: PythonEnvironmentsOptions;
  readonly #interpreters: Interpreters;
  /** Running builds, by directory. */
  readonly #builds = new Map<string, Promise<boolean>>();

  constructor(options: PythonEnvironmentsOptions) {
    this.#options = options;
    this.#interpreters = new Interpreters(options.pythonPath);
  }

  async build(context: BuildContext): Promise<BuiltEnvironment> {
    const { data, runStep } = this.#options;
    const { app, release, manifest } = context;
    const layout = appLayout(data, app);
    const { version, system_site_packages } = manifest.config.python;
    try {
      const interpreter = await this.#interpreters.find(version);
      const content = environmentContent(manifest, layout.app(release));
      const key = environmentKey(interpreter, system_site_packages, content);
      const directory = layout.venv(key);
      const reused = await this.#ensure({ context, layout, interpreter, content, directory, runStep });
      return { key, reused, cacheTag: interpreter.cacheTag };
    } catch (thrown) {
      throw asCutoverError(thrown);
    }
  }

  /** @throws CutoverError python_not_found, aborted, timed_out */
  async compile({ version, ...request }: CompileRequest): Promise<(Buffer | null)[]> {
    const interpreter = await this.#interpreters.find(version);
    const layout = appLayout(this.#options.data, request.app);
    return compile({ layout, interpreter, runStep: this.#options.runStep }, request);
  }

  async present(app: string, release: string): Promise<boolean> {
    const layout = appLayout(this.#options.data, app);
    const key = await linkedKey(layout, release);
    return key !== undefined && isFinished(layout.venv(key));
  }

  async prune(app: string, keptReleases: string[]): Promise<void> {
    await this.#options.owner.clear(app);
    const layout = appLayout(this.#options.data, app);
    if (!isOwnDirectory(layout.venvs)) return;
    const kept = new Set(await Promise.all(keptReleases.map((release) => linkedKey(layout, release))));
    for (const key of await readdir(layout.venvs)) {
      const directory = layout.venv(key);
      if (kept.has(key) || this.#builds.has(directory)) continue;
      await effect("environment.remove", () => removeVenv(directory));
    }
  }

  /** @returns whether the environment existed already */
  async #ensure(request: VenvRequest): Promise<boolean> {
    const { directory } = request;
    for (let other = this.#builds.get(directory); other !== undefined; other = this.#builds.get(directory)) {
      // If the other build fails, this one tries itself.
      await other.catch(() => false);
    }
    if (isFinished(directory)) return true;
    const build = makeEnvironment(request, this.#options);
    this.#builds.set(directory, build);
    try {
      return await build;
    } finally {
      this.#builds.delete(directory);
    }
  }
}

async function makeEnvironment(
  request: VenvRequest,
  { owner, limits }: Pick<PythonEnvironmentsOptions, "owner" | "limits">,
): Promise<false> {
  const { context, directory, layout } = request;
  const clear = () => effect("environment.clear", () => removeVenv(directory));
  await clear();
  await mkdir(layout.venvs, { recursive: true });
  try {
    await using scratch = await owner.scratch(context.app, ["environment", "release"]);
    if (scratch === undefined) await effect("environment.build", () => makeVenv(request));
    else await buildApart(request, scratch.path, limits);
    // A wheel may have put something there.
    await rm(join(directory, marker), { recursive: true, force: true });
    await effect("environment.complete", () => writeFile(join(directory, marker), "", { flag: "wx" }));
  } catch (thrown) {
    await clear();
    throw thrown;
  }
  return false;
}

/** Somebody else builds in a scratch directory. When all processes of the build have ended, what it left is copied. */
async function buildApart(request: VenvRequest, scratch: string, limits: TakeRequest["limits"]): Promise<void> {
  const { directory, interpreter } = request;
  const environment = join(scratch, "environment");
  await effect("environment.build", () =>
    makeVenv({ ...request, scratch: { environment, release: join(scratch, "release") } }),
  );
  const { path, real, base } = interpreter;
  const take: TakeRequest = {
    ...{ from: environment, to: directory, at: directory, limits, signal: request.context.signal },
    // It would say that the copy is whole while it is made.
    without: [marker],
    outside: (link) => (/^bin\/python[0-9.]*$/.test(link) ? [path, real, base] : []),
  };
  await effect("environment.take", () => takeTree(take));
}

/** Removes the marker first, so that an interrupted removal leaves nothing that looks finished. */
async function removeVenv(directory: string): Promise<void> {
  await rm(join(directory, marker), { force: true });
  await removeTree(directory);
}

/**
 * One whose interpreter has changed or went counts as absent. The owner counts too: in releases before this one the app's user
 * could put a marker into an unfinished environment.
 */
function isFinished(directory: string): boolean {
  const owner = lstatSync(directory, { throwIfNoEntry: false })?.uid;
  return owner === process.geteuid?.() && existsSync(join(directory, marker)) && interpreterOf(directory).fits;
}

/** undefined for a link that cutover did not make. */
async function linkedKey(layout: AppLayout, release: string): Promise<string | undefined> {
  const target = await readlink(layout.releaseVenv(release)).catch(() => undefined);
  const key = target === undefined ? "" : basename(target);
  return venvKey.test(key) ? key : undefined;
}
