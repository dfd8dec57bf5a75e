import type { ProjectFiles } from "../project-clues.ts";
import { isTable, tomlValue, valueAt } from "./tables.ts";

/** A program that a project installs, or a package that can be run: `python -m shop`. */
export interface OwnProgram {
  /** `shop`: as people type it. */
  name: string;
  /** The module and the function in it: `shop.cli`, `main`. */
  module: string;
  call: string;
  /** It is a command of another program, such as Celery, and cannot be called by itself. */
  isCommandOf?: true;
  /** What names it, in a person's words. */
  why: string;
}

/** What pyproject.toml, setup.cfg and setup.py name, and packages with a `__main__.py`. */
export function ownPrograms(files: ProjectFiles): OwnProgram[] {
  const named = [
    ...ofPyproject(files.read("pyproject.toml") ?? ""),
    ...["setup.cfg", "setup.py"].flatMap((file) => ofSetup(file, files.read(file) ?? "")),
  ];
  const packages = (files.paths?.() ?? []).flatMap((path) => {
    const [, name] = /^(?:src\/)?([A-Za-z_]\w*)\/__main__\.py$/.exec(path) ?? [];
    return name === undefined ? [] : [{ name, module: `${name}.__main__`, call: "", why: `there is ${path}` }];
  });
  return [...named, ...packages.filter(({ name }) => !named.some((each) => each.module.split(".", 1)[0] === name))];
}

function ofPyproject(text: string): OwnProgram[] {
  const value = tomlValue(text);
  const get = (...path: string[]) => valueAt(value, ...path);
  return [get("project", "scripts"), get("tool", "poetry", "scripts")].flatMap((table) =>
    Object.entries(isTable(table) ? table : {}).flatMap(([name, target]) =>
      programOf(name, typeof target === "string" ? target : "", "pyproject.toml"),
    ),
  );
}

/** `shop = shop.cli:main`, as a line of setup.cfg or a text of setup.py. */
function ofSetup(file: string, text: string): OwnProgram[] {
  if (!/console_scripts|\.commands\b/.test(text)) return [];
  const part = text.includes("console_scripts") ? {} : { isCommandOf: true as const };
  return [...text.matchAll(/["'\n][ \t]*([\w.-]+)[ \t]*=[ \t]*([\w.]+:[\w.]+)/g)].flatMap(
    ([, name = "", target = ""]) => programOf(name, target, file).map((program) => ({ ...program, ...part })),
  );
}

function programOf(name: string, target: string, file: string): OwnProgram[] {
  const [, module, call] = /^\s*([A-Za-z_][\w.]*)\s*:\s*([A-Za-z_][\w.]*)\s*(?:\[.*)?$/.exec(target) ?? [];
  return module === undefined || call === undefined ? [] : [{ name, module, call, why: `${file} names ${name}` }];
}
