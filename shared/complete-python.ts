import { findDependencies } from "./dependencies/find-dependencies.ts";
import { parseSource } from "./dependencies/form.ts";
import type { ProjectFiles } from "./project-files.ts";
import { namedPython } from "./python-version.ts";

export interface CompletedPython {
  /** cutover.yml, completed with what was found. */
  value: unknown;
  /** What was found, one text each, such as `python.requirements: uv.lock`. */
  found: string[];
}

/**
 * Looks for `python.requirements` and `python.version` if cutover.yml leaves them out. Other faults of the file do not
 * matter here.
 */
export function completePython(value: unknown, files: ProjectFiles): CompletedPython {
  if (!isMap(value)) return { value, found: [] };
  const { python = {} } = value;
  if (!isMap(python)) return { value, found: [] };
  const requirements = "requirements" in python ? undefined : requirementsOf(python, files);
  const named = "version" in python ? undefined : namedPython(files);
  const completed = {
    ...(named !== undefined && { version: named.version }),
    ...(requirements !== undefined && { requirements }),
    ...python,
  };
  const found = [
    ...(requirements === undefined ? [] : [`python.requirements: ${requirements}`]),
    ...(named === undefined ? [] : [`python.version: "${named.version}" (${named.file})`]),
  ];
  return { value: found.length === 0 ? value : { ...value, python: completed }, found };
}

function requirementsOf(python: Record<string, unknown>, files: ProjectFiles): string | undefined {
  if (python.wheels === "none") return undefined;
  const found = findDependencies(files);
  if (found === undefined || found === "requirements.txt") return undefined;
  // What the distribution installed may be all that such a project needs.
  const whole = ["setup", "conda"].includes(parseSource(found).form);
  return whole && python.system_site_packages === true ? undefined : found;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
