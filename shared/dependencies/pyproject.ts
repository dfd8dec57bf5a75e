import type { Edge } from "./graph.ts";
import { edgeOfRequirement } from "./lock.ts";
import { type PoetryEdge, poetryEdges } from "./poetry-lock.ts";
import { alternativesOf } from "./poetry-versions.ts";
import { extrasOf, normalName, parseRequirement, type Requirement } from "./requirement.ts";
import { at, list, parseToml, type Table, table, text, texts } from "./values.ts";

/** What pyproject.toml says of a project's own dependencies. */
export interface Pyproject {
  /** Normalized; undefined if it is not named. */
  name: string | undefined;
  requiresPython: string | undefined;
  /** Poetry's own table has the dependencies. */
  poetry: boolean;
  /** Something builds a package of it. */
  builds: boolean;
  /** It leaves its dependencies to what builds it; this file has them, if it says so. */
  dynamic: { files: string[] } | undefined;
  /** Its dependencies with these extras and groups. Unknown names are in `unknown`. */
  needs(extras: string[], groups: string[]): { requirements: Requirement[]; edges: Edge[]; unknown: string[] };
}

/** @throws CutoverError requirements_invalid */
export function readPyproject(content: string, file: string): Pyproject {
  const all = parseToml(content, file);
  const project = table(all.project);
  const poetry = table(at(all, "tool", "poetry"));
  const isPoetry = poetry.dependencies !== undefined && !Array.isArray(project.dependencies);
  const files = at(all, "tool", "setuptools", "dynamic", "dependencies", "file");
  const dynamic = texts(project.dynamic).includes("dependencies");
  return {
    name: named(text(project.name) ?? text(poetry.name)),
    requiresPython: text(project["requires-python"]) ?? text(at(poetry, "dependencies", "python")),
    poetry: isPoetry,
    builds: all["build-system"] !== undefined,
    dynamic: dynamic ? { files: typeof files === "string" ? [files] : texts(files) } : undefined,
    needs: (extras, groups) => (isPoetry ? poetryNeeds(poetry, extras, groups) : standardNeeds(all, extras, groups)),
  };
}

function named(name: string | undefined): string | undefined {
  return name === undefined ? undefined : normalName(name);
}

function standardNeeds(all: Table, extras: string[], groups: string[]) {
  const project = table(all.project);
  const optional = byName(project["optional-dependencies"]);
  const group = byName(all["dependency-groups"]);
  const unknown = [...extras.filter((name) => !optional.has(name)), ...groups.filter((name) => !group.has(name))];
  const given = [
    ...texts(project.dependencies),
    ...extras.flatMap((name) => texts(optional.get(name))),
    ...groups.flatMap((name) => groupOf(group, name, [])),
  ];
  const own = named(text(project.name));
  // `all = ["shop[redis,s3]"]` names the project's other extras.
  const [others, direct] = [
    given.filter((one) => parseRequirement(one).name === own),
    given.filter((one) => parseRequirement(one).name !== own),
  ];
  const more = others.flatMap((one) => extrasOf(one)).flatMap((name) => texts(optional.get(name)));
  const requirements = [...new Set([...direct, ...more])];
  return { requirements: requirements.map(parseRequirement), edges: requirements.map(edgeOfRequirement), unknown };
}

function byName(value: unknown): Map<string, unknown> {
  return new Map(Object.entries(table(value)).map(([name, needs]) => [normalName(name), needs]));
}

/** A dependency group (PEP 735), with the groups that it includes. */
function groupOf(all: Map<string, unknown>, name: string, above: string[]): string[] {
  if (above.includes(name)) return [];
  return list(all.get(name)).flatMap((one) => {
    if (typeof one === "string") return [one];
    const included = text(table(one)["include-group"]);
    return included === undefined ? [] : groupOf(all, normalName(included), [...above, name]);
  });
}

function poetryNeeds(poetry: Table, extras: string[], groups: string[]) {
  const optional = byName(poetry.extras);
  const wanted = new Set(extras.flatMap((name) => texts(optional.get(name))).map(normalName));
  const group = byName(poetry.group);
  const edges = [
    ...poetryEdges(poetry.dependencies, (name, entry) => entry.optional !== true || wanted.has(name)),
    ...groups.flatMap((name) => poetryEdges(at(group.get(name), "dependencies"), () => true)),
  ];
  const tablesOf = [poetry.dependencies, ...groups.map((name) => at(group.get(name), "dependencies"))].map(byName);
  return {
    edges,
    requirements: edges.map((edge): Requirement => {
      const entry = tablesOf.map((one) => one.get(edge.name)).find((one) => one !== undefined);
      return { name: edge.name, line: poetryLine(edge, table(entry)), marker: edge.marker, hashes: [] };
    }),
    unknown: [...extras.filter((name) => !optional.has(name)), ...groups.filter((name) => !group.has(name))],
  };
}

function poetryLine({ name, extras, constraint }: PoetryEdge, entry: Table): string {
  const [git, path, url] = [text(entry.git), text(entry.path), text(entry.url)];
  const reference = text(entry.rev) ?? text(entry.tag) ?? text(entry.branch);
  if (git !== undefined) return `${name} @ git+${git}${reference === undefined ? "" : `@${reference}`}`;
  if (path !== undefined) return path.startsWith(".") ? path : `./${path}`;
  if (url !== undefined) return `${name} @ ${url}`;
  const alternatives = alternativesOf(constraint);
  // PEP 440 has no `or`: pip then takes the newest, as Poetry would.
  const specifiers = alternatives.length === 1 ? (alternatives[0] ?? []) : [];
  return `${name}${extras.length > 0 ? `[${extras.join(",")}]` : ""}${specifiers.join(",")}`;
}
