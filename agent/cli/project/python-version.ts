import { parse } from "smol-toml";
import { projectIn } from "./project-directory.ts";

/** The version of Debian 12, if the project names none. */
const usual = "3.11";

type Table = Record<string, unknown>;
const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The version of Python that a project names, such as 3.12: in the usual files, here or at the top of the repository. */
export function pythonVersion(directory: string, root: string): string {
  return versionIn(directory) ?? versionIn(root) ?? usual;
}

function versionIn(directory: string): string | undefined {
  const read = (file: string) => projectIn(directory).read(file) ?? "";
  const exact = [
    /^(?:python-)?(3\.\d{1,2})(?:[.\s]|$)/m.exec(read(".python-version")),
    /^python-(3\.\d{1,2})/m.exec(read("runtime.txt")),
    /^python\s+(3\.\d{1,2})/m.exec(read(".tool-versions")),
    /^\s*python_(?:full_)?version\s*=\s*["'](3\.\d{1,2})/m.exec(read("Pipfile")),
  ].find((each) => each !== null)?.[1];
  return exact ?? lowest(read("pyproject.toml"));
}

/** `requires-python = ">=3.12"`: the lowest that it allows, but not one that is older than the usual. */
function lowest(pyproject: string): string | undefined {
  let value: unknown;
  try {
    value = parse(pyproject);
  } catch {
    return undefined;
  }
  const get = (...path: string[]) =>
    path.reduce<unknown>((each, key) => (isTable(each) ? each[key] : undefined), value);
  const range = get("project", "requires-python") ?? get("tool", "poetry", "dependencies", "python");
  const [, minor] = /(?:>=|\^|~=?|==)\s*3\.(\d{1,2})/.exec(typeof range === "string" ? range : "") ?? [];
  return minor === undefined ? undefined : `3.${Math.max(Number(minor), 11)}`;
}
