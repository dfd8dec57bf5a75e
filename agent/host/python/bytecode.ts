import { constants, copyFileSync, mkdirSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import type { Manifest } from "../../../shared/manifest.ts";
import type { BuildContext } from "../../ports.ts";
import { storedFiles } from "../bundle/stored-manifest.ts";
import type { AppLayout } from "../layout.ts";
import type { StepRunner } from "../step.ts";
import { type Interpreter, interpreterEnvironment } from "./interpreter.ts";

export interface BytecodeRequest {
  context: BuildContext;
  layout: AppLayout;
  interpreter: Interpreter;
  /** How many processes may compile at the same time. */
  jobs: number;
  runStep: StepRunner;
}

/** From here on more processes are quicker than one, in spite of their start. */
const manyFiles = 200;
const timeoutMs = 10 * 60_000;

/**
 * Compiles a release's Python files, so that the first request does not. Unchanged files get the bytecode of an earlier
 * release: the importer puts the new path into the code that it loads. It is copied, not linked: this release is the app's
 * user's while it is built, and a link would make the live release's file so too.
 *
 * The host's interpreter compiles, isolated, not the environment's: that would run the .pth files of the repository's
 * wheels. The bytecode is not checked against its source when loaded: a release never changes, and its files carry the
 * time of their bundle, by which Python's ordinary check could not tell two versions apart.
 *
 * A file that does not compile is left alone: projects carry templates and code for other Pythons.
 * @returns how many files were compiled and how many took over
 */
export async function compileRelease(request: BytecodeRequest): Promise<{ compiled: number; reused: number }> {
  const { context, layout } = request;
  const sources = context.manifest.files.filter(({ path }) => path.startsWith("app/") && path.endsWith(".py"));
  const reused = new Set(await copyUnchanged(request, sources));
  const left = sources.filter(({ path }) => !reused.has(path));
  if (left.length > 0)
    await compile(
      request,
      left.map(({ path }) => join(layout.release(context.release), path)),
    );
  return { compiled: left.length, reused: reused.size };
}

async function copyUnchanged(request: BytecodeRequest, sources: Manifest["files"]): Promise<string[]> {
  const { context, layout, interpreter } = request;
  const { reuse, release } = context;
  if (reuse === null || reuse === release) return [];
  const before = await digestsOf(layout.manifest(reuse));
  const made = new Set<string>();
  return sources
    .filter(({ path, sha256 }) => {
      if (before.get(path) !== sha256) return false;
      const bytecode = bytecodePath(path, interpreter.cacheTag);
      return copy(join(layout.release(reuse), bytecode), join(layout.release(release), bytecode), made);
    })
    .map(({ path }) => path);
}

async function digestsOf(manifest: string): Promise<Map<string, string>> {
  try {
    return new Map((await storedFiles(manifest)).files.map(({ path, sha256 }) => [path, sha256]));
  } catch {
    // Removed meanwhile: then everything is compiled.
    return new Map();
  }
}

/** false where nothing was compiled. */
function copy(from: string, to: string, made: Set<string>): boolean {
  const directory = posix.dirname(to);
  try {
    if (!made.has(directory)) mkdirSync(directory, { recursive: true, mode: 0o755 });
    made.add(directory);
    copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    return true;
  } catch {
    return false;
  }
}

function bytecodePath(source: string, cacheTag: string): string {
  return posix.join(posix.dirname(source), "__pycache__", `${posix.basename(source, ".py")}.${cacheTag}.pyc`);
}

async function compile(request: BytecodeRequest, files: string[]): Promise<void> {
  const { context, layout, interpreter, jobs, runStep } = request;
  const list = join(layout.release(context.release), ".sources");
  await writeFile(list, files.map((file) => `${file}\n`).join(""), { mode: 0o644 });
  const parallel = files.length >= manyFiles && jobs > 1 ? ["-j", String(jobs)] : [];
  const options = ["-qq", "--invalidation-mode", "unchecked-hash", ...parallel, "-i", list];
  try {
    await runStep(context.app, {
      argv: [interpreter.path, "-I", "-m", "compileall", ...options],
      cwd: layout.release(context.release),
      env: interpreterEnvironment,
      timeoutMs,
      signal: context.signal,
      onLine: (line) => context.onOutput("compileall", line),
    });
  } finally {
    await rm(list, { force: true });
  }
}
