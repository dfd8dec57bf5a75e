import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { withoutSecrets } from "../runner/secrets.ts";
import { cacheDirectory, cached } from "./cache.ts";
import type { Interpreter } from "./interpreter.ts";
import type { VendoredWheels, WheelsContext } from "./wheels.ts";

/**
 * A virtual environment with the vendored wheels, for the commands that collect static files. It has no pip of its own,
 * which would take seconds to install: the interpreter's pip installs into it.
 * @returns its `bin` directory @throws CutoverError wheels_failed
 */
export async function buildVenv(
  config: Config,
  wheels: VendoredWheels,
  interpreter: Interpreter,
  context: WheelsContext,
): Promise<string> {
  const site = config.python.system_site_packages;
  const folder = join(context.directory, cacheDirectory, "venv", venvKey(wheels, site, interpreter, context));
  await cached(folder, wheels.reused, async (into) => {
    const options = ["--without-pip", ...(site ? ["--system-site-packages"] : [])];
    await run([interpreter.program, "-m", "venv", ...options, into], context);
    await run(installCommand(interpreter, join(into, "bin", "python"), wheels), context);
  });
  return join(folder, "bin");
}

/** An environment holds the paths of its interpreter and of itself, so it works with these alone. */
function venvKey({ key }: VendoredWheels, site: boolean, { build }: Interpreter, { directory }: WheelsContext): string {
  return createHash("sha256")
    .update(JSON.stringify([key, site, build, realpathSync(directory)]))
    .digest("hex")
    .slice(0, 24);
}

function installCommand(interpreter: Interpreter, python: string, wheels: VendoredWheels): string[] {
  const pip = [interpreter.program, "-m", "pip", "--python", python, "install"];
  const options = ["--no-index", "--no-deps", "--quiet"];
  return [...pip, ...options, ...wheels.files.map(({ source }) => source)];
}

async function run(argv: string[], { directory, env, exec, onLine, signal }: WheelsContext): Promise<void> {
  const child = { ...withoutSecrets(env), PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" };
  const { ok, how, output } = await exec({ argv, cwd: directory, env: child, onLine, signal });
  if (ok) return;
  throw new CutoverError("wheels_failed", `The environment for collecting static files could not be built. ${how}`, {
    unchanged: "Nothing was sent.",
    fix: "Read the message below. This needs Python's venv module and pip 22.3 or later: actions/setup-python has both.",
    evidence: [{ source: argv.slice(1, 3).join(" "), text: output }],
  });
}
