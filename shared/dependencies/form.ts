import { posix } from "node:path";
import { normalName } from "./requirement.ts";

/** In which form a project says what it needs. */
export type DependencyForm =
  | "requirements"
  | "pyproject"
  | "uv"
  | "poetry"
  | "pdm"
  | "pipfile-lock"
  | "pipfile"
  | "pylock"
  | "conda"
  | "setup";

/** What `python.requirements` names. */
export interface DependencySource {
  form: DependencyForm;
  file: string;
  /** Normalized names of optional dependencies, in brackets after the file. */
  extras: string[];
  /** Normalized names of dependency groups, after a colon. */
  groups: string[];
}

const names: [RegExp, DependencyForm][] = [
  [/^pyproject\.toml$/, "pyproject"],
  [/^uv\.lock$/, "uv"],
  [/^poetry\.lock$/, "poetry"],
  [/^pdm(?:\.[\w-]+)?\.lock$/, "pdm"],
  [/^Pipfile\.lock$/, "pipfile-lock"],
  [/^Pipfile$/, "pipfile"],
  [/^pylock(?:\.[^.]+)?\.toml$/, "pylock"],
  [/^(?:environment|conda)(?:[-_.][\w-]+)?\.ya?ml$/, "conda"],
  [/^setup\.(?:py|cfg)$/, "setup"],
];

/** `uv.lock`, `pyproject.toml[redis,s3]`, `pyproject.toml:web`, or any other file: a requirements file. */
export function parseSource(given: string): DependencySource {
  const [, bare = given, extras = "", groups = ""] = /^(.*?)(?:\[([^\]]*)\])?(?::([\w.,-]+))?$/.exec(given) ?? [];
  const form = formOf(bare);
  if (form === "requirements") return { form, file: given, extras: [], groups: [] };
  const split = (text: string) =>
    text.split(",").flatMap((name) => (name.trim() === "" ? [] : [normalName(name.trim())]));
  return { form, file: bare, extras: split(extras), groups: split(groups) };
}

function formOf(file: string): DependencyForm {
  const base = posix.basename(file);
  return names.find(([pattern]) => pattern.test(base))?.[1] ?? "requirements";
}
