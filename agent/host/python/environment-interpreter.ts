import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";

/** What an environment runs on. */
export interface EnvironmentInterpreter {
  /** Where its `python` leads, through its own links alone: `/usr/bin/python3.11`, or `/usr/bin/python3` in an old one. */
  named: string | undefined;
  /** The file of the interpreter; undefined if it is gone. */
  real: string | undefined;
  /** The versions (major, minor) for which it has packages. */
  made: string[];
  /** Whether the interpreter is there, and is of the version for which the packages were installed. */
  fits: boolean;
}

/**
 * An upgrade of the distribution puts another version in the place of `python3`, and removes the old one: the environment's
 * packages lie in lib/python3.11, where Python 3.13 does not look for them.
 */
export function interpreterOf(directory: string): EnvironmentInterpreter {
  const real = quietly(() => realpathSync(join(directory, "bin/python")));
  const made = (quietly(() => readdirSync(join(directory, "lib"))) ?? []).flatMap((name) => versionIn(name) ?? []);
  const version = real === undefined ? undefined : versionIn(basename(real));
  // The file of a Python that somebody has compiled may have no version in its name.
  const fits = real !== undefined && (version === undefined || made.length === 0 || made.includes(version));
  return { named: namedBy(join(directory, "bin")), real, made, fits };
}

function versionIn(name: string): string | undefined {
  return /^python(3\.\d+)$/.exec(name)?.[1];
}

/** Of `python -> python3.11 -> /usr/bin/python3.11` the last. */
function namedBy(bin: string): string | undefined {
  let target: string | undefined = "python";
  for (let links = 0; target !== undefined && !target.startsWith("/"); links++) {
    if (links > 8) return undefined;
    const link: string = join(bin, target);
    target = quietly(() => readlinkSync(link));
  }
  return target;
}

function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
