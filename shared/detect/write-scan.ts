import { spawnSync } from "node:child_process";
import { isAbsolute, normalize, relative, resolve } from "node:path";
import { z } from "zod";
import { writesProgram } from "./writes-program.ts";

const writes = z.array(
  z.object({
    /** `flask`: the address of a database that Flask-SQLAlchemy opens. */
    kind: z.enum(["sqlite", "flask", "log", "folder"]),
    /** A path as it is written, or as far as it can be worked out. */
    value: z.string(),
    file: z.string(),
    line: z.int(),
  }),
);
export type Written = z.output<typeof writes>[number];

const limitMs = 30_000;

/** What Python files write, as far as their text shows it. @returns nothing without python3 */
export function scanWrites(directory: string, paths: string[]): Written[] {
  const argv = ["-I", "-S", "-c", writesProgram, resolve(directory), ""];
  const options = { input: paths.join("\n"), timeout: limitMs, maxBuffer: 8 * 1024 * 1024, cwd: "/" };
  const { status, stdout } = spawnSync("python3", argv, options);
  if (status !== 0) return [];
  try {
    return writes.parse(JSON.parse(stdout.toString("utf8"))).map((one) => within(directory, one));
  } catch {
    return [];
  }
}

/** Relative to the project where that is possible. A process of a release runs there. */
function within(directory: string, one: Written): Written {
  if (!isAbsolute(one.value)) return { ...one, value: normalize(one.value) };
  const value = relative(resolve(directory), one.value) || ".";
  // Flask-SQLAlchemy puts only a relative path into its own folder.
  return { ...one, value, kind: one.kind === "flask" ? "sqlite" : one.kind };
}
