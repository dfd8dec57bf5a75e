import { alternativesOf } from "./dependencies/poetry-versions.ts";
import { readPyproject } from "./dependencies/pyproject.ts";
import { at, parseToml, text } from "./dependencies/values.ts";
import type { ProjectFiles } from "./project-files.ts";
import { foldersAbove } from "./repository-top.ts";

/** The version of Python that a project names, and where. */
export interface NamedPython {
  /** Major and minor, such as 3.12. */
  version: string;
  file: string;
}

/** The version that the project names in one of the usual places, in it or one folder above it in the repository. */
export function namedPython(project: ProjectFiles): NamedPython | undefined {
  return first(hereAndAbove(project), (folder) => inFolder(project, folder));
}

function hereAndAbove(project: ProjectFiles): string[] {
  return ["", ...foldersAbove(project).slice(0, 1)];
}

function first<T>(folders: string[], look: (folder: string) => T | undefined): T | undefined {
  for (const folder of folders) {
    const found = look(folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

const lines: [file: string, pattern: RegExp][] = [
  [".python-version", /^[ \t]*(?:cpython-|python-?)?(3\.\d{1,2})(?:\.|\s|$)/m],
  ["runtime.txt", /^[ \t]*python-(3\.\d{1,2})(?:\.|\s|$)/m],
  [".tool-versions", /^[ \t]*python[ \t]+(3\.\d{1,2})(?:\.|\s|$)/m],
];

const oldLines: [file: string, pattern: RegExp][] = [
  [".python-version", /^\s*(?:cpython-|python-?)?(2\.\d)(?:\.|\s|$)/m],
  ["runtime.txt", /^\s*python-(2\.\d)(?:\.|\s|$)/m],
  [".tool-versions", /^\s*python\s+(2\.\d)(?:\.|\s|$)/m],
  ["Pipfile", /^\s*python_(?:full_)?version\s*=\s*["'](2\.\d)/m],
  ["app.yaml", /^runtime:\s*["']?python(2\d)\b/m],
];

/** Python 2, which a project names and no host has. */
export function oldPython(project: Pick<ProjectFiles, "read">): NamedPython | undefined {
  for (const [file, pattern] of oldLines) {
    const version = pattern.exec(project.read(file) ?? "")?.[1];
    if (version !== undefined) return { version: version.replace(/^2\.?/, "2."), file };
  }
  return undefined;
}

function inFolder(project: ProjectFiles, folder: string): NamedPython | undefined {
  for (const [name, pattern] of lines) {
    const version = pattern.exec(project.read(`${folder}${name}`) ?? "")?.[1];
    if (version !== undefined) return { version, file: `${folder}${name}` };
  }
  const pipfile = project.read(`${folder}Pipfile`);
  const requires = pipfile === undefined ? undefined : requiresOf(pipfile);
  const version = /^3\.\d{1,2}/.exec(requires ?? "")?.[0];
  return version === undefined ? undefined : { version, file: `${folder}Pipfile` };
}

function requiresOf(pipfile: string): string | undefined {
  try {
    const requires = at(parseToml(pipfile, "Pipfile"), "requires");
    return text(at(requires, "python_version")) ?? text(at(requires, "python_full_version"));
  } catch {
    return undefined;
  }
}

/** The range that pyproject.toml admits (`requires-python`), in its own words; undefined if it names none. */
export function requiredPython(project: ProjectFiles): { range: string; file: string } | undefined {
  return first(hereAndAbove(project), (folder) => {
    const file = `${folder}pyproject.toml`;
    try {
      const range = readPyproject(project.read(file) ?? "", file).requiresPython;
      return range === undefined ? undefined : { range, file };
    } catch {
      // Whoever reads it for its dependencies says what is wrong.
      return undefined;
    }
  });
}

/** Whether a range, such as `>=3.12,<4`, admits a version such as 3.11, whatever its patch release is. */
export function admitsPython(range: string, version: string): boolean {
  const minor = Number(version.split(".")[1]);
  const holds = (one: string): boolean => {
    const [, operator = "", wanted = "", patch = ""] = /^(~=|===?|!=|[<>]=?)\s*3(?:\.(\d+)(\.\d+)?)?/.exec(one) ?? [];
    // `>=3` and `<4` say nothing about the minor version.
    if (operator === "" || wanted === "") return true;
    const whole = patch === "";
    const number = Number(wanted);
    switch (operator) {
      case ">=":
      case "~=":
        return minor >= number;
      case ">":
        return whole ? minor > number : minor >= number;
      case "<":
        return whole ? minor < number : minor <= number;
      case "<=":
        return minor <= number;
      case "!=":
        return !whole || minor !== number;
      default:
        return minor === number;
    }
  };
  return alternativesOf(range).some((specifiers) => specifiers.every(holds));
}
