import { join, posix } from "node:path";
import type { BuildContext } from "../../contracts/ports.ts";
import { storedFiles } from "../bundle/stored-manifest.ts";
import type { StepRunner } from "../exec/step.ts";
import type { AppLayout } from "../store/layout.ts";
import { type Interpreter, interpreterEnvironment } from "./interpreter.ts";

export interface BytecodeRequest {
  context: BuildContext;
  layout: AppLayout;
  interpreter: Interpreter;
  /** How many processes may compile at once. */
  jobs: number;
  runStep: StepRunner;
}

const timeoutMs = 10 * 60_000;

/**
 * Copies what can be reused, compiles the rest, and prints how many files it compiled. From 200 files on, several processes
 * are faster than one in spite of their start. A file that does not compile is skipped: projects have templates, and code for
 * other Pythons.
 */
const program = `
import compileall, json, multiprocessing, os, py_compile, sys
from functools import partial

def copied(old, new):
    try:
        os.makedirs(os.path.dirname(new), mode=0o755, exist_ok=True)
        with open(old, "rb") as source, open(new, "xb") as target:
            target.write(source.read())
        return True
    except OSError:
        return False

work = json.load(sys.stdin)
left = work["compile"] + [path for path, old, new in work["copy"] if not copied(old, new)]
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
one = partial(compileall.compile_file, quiet=2, invalidation_mode=unchecked)
if work["jobs"] > 1 and len(left) >= 200:
    with multiprocessing.get_context("fork").Pool(work["jobs"]) as pool:
        pool.map(one, left)
else:
    for path in left:
        one(path)
print(len(left))
`;

/**
 * Compiles a release's Python files, so that the first request need not. Unchanged files get the bytecode of an earlier
 * release: the importer puts the new path into the code that it loads. It is copied, not linked: the app's user owns this
 * release while it is built, and through a link would own the live release's file too. That user copies it: links in its
 * directories could lead root elsewhere.
 *
 * The host's interpreter compiles, isolated. The environment's interpreter would run the .pth files of the repository's
 * wheels. The bytecode is not checked against its source when it is loaded: a release never changes, and all its files have
 * the time of their bundle, so Python's usual check could not distinguish two versions.
 * @returns how many files were compiled, and how many were reused
 */
export async function compileRelease(request: BytecodeRequest): Promise<{ compiled: number; reused: number }> {
  const { context, layout, interpreter, jobs, runStep } = request;
  const release = layout.release(context.release);
  const sources = context.manifest.files.filter(({ path }) => path.startsWith("app/") && path.endsWith(".py"));
  const before = await earlierFiles(request);
  const [copy, compile]: [string[][], string[]] = [[], []];
  for (const { path, sha256 } of sources) {
    const bytecode = bytecodePath(path, interpreter.cacheTag);
    if (before?.digests.get(path) !== sha256) compile.push(join(release, path));
    else copy.push([join(release, path), join(before.release, bytecode), join(release, bytecode)]);
  }
  if (sources.length === 0) return { compiled: 0, reused: 0 };
  let compiled = 0;
  await runStep(context.app, {
    argv: [interpreter.path, "-I", "-c", program],
    cwd: release,
    env: interpreterEnvironment,
    input: JSON.stringify({ compile, copy, jobs }),
    timeoutMs,
    signal: context.signal,
    onLine: (line) => {
      if (/^\d+$/.test(line)) compiled = Number(line);
      else context.onOutput("compileall", line);
    },
  });
  return { compiled, reused: sources.length - compiled };
}

/** The files of the release whose bytecode may be reused; undefined if there is none. */
async function earlierFiles({
  context: { reuse, release },
  layout,
}: BytecodeRequest): Promise<{ release: string; digests: Map<string, string> } | undefined> {
  if (reuse === null || reuse === release) return undefined;
  try {
    const { files } = await storedFiles(layout, reuse);
    return { release: layout.release(reuse), digests: new Map(files.map(({ path, sha256 }) => [path, sha256])) };
  } catch {
    // It was removed in the meantime: then everything is compiled.
    return undefined;
  }
}

function bytecodePath(source: string, cacheTag: string): string {
  return posix.join(posix.dirname(source), "__pycache__", `${posix.basename(source, ".py")}.${cacheTag}.pyc`);
}
