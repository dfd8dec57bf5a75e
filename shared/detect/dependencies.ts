import { type ProjectFiles, requirementNames } from "../project-clues.ts";
import { isTable, type Table, tomlValue, valueAt } from "./tables.ts";

/**
 * The names of all packages that a project says it needs, wherever it says so, normalised; undefined if it says so nowhere.
 * They are clues: what is installed is not decided here. With extras also `name[extra]`.
 */
export function dependencyNames(files: ProjectFiles, requirements: string): Set<string> | undefined {
  const places = dependencyFiles(files, requirements);
  if (places.length === 0) return undefined;
  return named(places.flatMap((file) => namedIn(file, files)));
}

/** The names in one file, and in what it includes. */
export function namesIn(files: ProjectFiles, file: string): Set<string> {
  return named(namedIn(file, files));
}

function named(texts: string[]): Set<string> {
  const names = new Set<string>();
  for (const text of texts) {
    const [, name = "", extras = ""] = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?/.exec(text) ?? [];
    if (name === "") continue;
    names.add(normal(name));
    for (const extra of extras.split(",")) if (extra !== "") names.add(`${normal(name)}[${extra.trim()}]`);
  }
  return names;
}

/** Names with their extras, and what follows them. */
function namedIn(file: string, files: ProjectFiles): string[] {
  const text = files.read(file) ?? "";
  if (file.endsWith(".toml") || file === "Pipfile") return ofToml(text);
  if (/\.ya?ml$/.test(file))
    return [...text.matchAll(/^[ \t]*-[ \t]*([A-Za-z][\w.-]*)/gm)].map(([, name = ""]) => name);
  if (/^setup\.(?:py|cfg)$/.test(file)) {
    return [...text.matchAll(/(?<![\w.-])[A-Za-z][\w.-]*(?:\[[\w,]+\])?(?=\s*[<>=~!"',;\n[])/g)].map(([name]) => name);
  }
  const lines = [...decoded(text).matchAll(/^[ \t]*[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?/gm)].map(([name]) => name);
  return [...(requirementNames(files, file) ?? []), ...lines];
}

const usual = ["pyproject.toml", "Pipfile", "setup.cfg", "setup.py", "environment.yml", "environment.yaml"];
const listed =
  /^(?:requirements?|reqs?)(?:[/_.-](?:base|common|prod|production|main|live|deploy|server|web|app|all|requirements|local|default))?\.(?:txt|in)$|^requirements\/[^/]+\.(?:txt|in)$|^(?:conf|config|deploy|etc|docker)\/requirements\.txt$/;
const notLive = /(?:^|[/_.-])(?:dev|develop|development|test|tests|testing|docs?|lint|ci)[^/]*\.(?:txt|in)$/;

/** The files that say what a project needs. */
export function dependencyFiles(files: ProjectFiles, requirements = "requirements.txt"): string[] {
  const others = (files.paths?.() ?? []).filter((path) => listed.test(path) && !notLive.test(path));
  return [...new Set([requirements, ...others, ...usual])].filter((path) => files.read(path) !== undefined);
}

/** The file that a deploy installs if it is none of those that are found by themselves: that for production comes first. */
export function productionRequirements(files: ProjectFiles): string | undefined {
  const found = dependencyFiles(files);
  if (found.includes("requirements.txt")) return undefined;
  const texts = found.filter((file) => file.endsWith(".txt"));
  return texts.find((file) => /prod|live|deploy/.test(file)) ?? texts[0];
}

/** PowerShell's `pip freeze >` writes UTF-16, whose every second byte is a NUL as UTF-8 is read. */
function decoded(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "") : text;
}

const table = (value: unknown, ...path: string[]): Table => {
  const found = valueAt(value, ...path);
  return isTable(found) ? found : {};
};
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];

/** pyproject.toml of PEP 621 and of Poetry, and Pipfile. */
function ofToml(text: string): string[] {
  const value = tomlValue(text);
  const poetry = table(value, "tool", "poetry");
  const tables = [
    table(poetry, "dependencies"),
    ...live(table(poetry, "group")).map((group) => table(group, "dependencies")),
    table(value, "packages"),
  ];
  const project = table(value, "project");
  return [
    ...texts(project.dependencies),
    ...live(table(project, "optional-dependencies")).flatMap(texts),
    ...live(table(value, "dependency-groups")).flatMap(texts),
    ...tables.flatMap((each) => Object.entries(each).map(([name, given]) => withExtras(name, given))),
  ];
}

/** The groups that a release may get: what only tests need shows nothing of what serves. */
function live(groups: Table): unknown[] {
  const other = /^(?:tests?|testing|dev|develop|development|docs?|documentation|lint|linting|typing|types|ci)$/;
  return Object.entries(groups).flatMap(([name, group]) => (other.test(name) ? [] : [group]));
}

function withExtras(name: string, given: unknown): string {
  const extras = isTable(given) ? texts(given.extras) : [];
  return extras.length === 0 ? name : `${name}[${extras.join(",")}]`;
}

function normal(name: string): string {
  return name.toLowerCase().replace(/[._-]+/g, "-");
}
