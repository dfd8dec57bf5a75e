import { type Edge, type LockedPackage, reach } from "./graph.ts";
import { type LockReading, localPath, type Selection } from "./lock.ts";
import { admits, pythonMarker } from "./poetry-versions.ts";
import { extrasOf, normalName, pypi, type Requirement } from "./requirement.ts";
import { list, parseToml, type Table, table, tables, text, texts } from "./values.ts";

/** Reads poetry.lock: what the project needs, as `poetry export` writes it. @throws CutoverError requirements_invalid */
export function readPoetryLock(content: string, file: string, selection: Selection): LockReading {
  const lock = parseToml(content, file);
  const all = tables(lock.package);
  const hashes = hashesOf(lock);
  const { reached, missing } = reach(packagesOf(all), selection.direct.map(exactIn(all)));
  return {
    requirements: reached.map(({ what, marker }) => requirementOf(what, marker, selection.folder, hashes)),
    // Older ones of Poetry left these out of the lock, whatever needs them.
    missing: missing.filter((name) => !unsafe.has(name)),
    unknown: [],
    indexes: reached.flatMap(({ what }) => indexOf(what)),
    installed: false,
  };
}

const unsafe = new Set(["setuptools", "distribute", "pip", "wheel"]);

/** One of Poetry's dependencies. */
export type PoetryEdge = Edge & { constraint: string };

/** The dependencies of a table of Poetry's, in pyproject.toml or in the lock. */
export function poetryEdges(dependencies: unknown, included: (name: string, entry: Table) => boolean): PoetryEdge[] {
  return Object.entries(table(dependencies)).flatMap(([key, value]) =>
    (Array.isArray(value) ? list(value) : [value]).flatMap((one) => {
      const entry = typeof one === "string" ? { version: one } : table(one);
      const name = normalName(key);
      if (name === "python" || !included(name, entry)) return [];
      const markers = [text(entry.markers) ?? "", pythonMarker(text(entry.python) ?? "*")].filter(Boolean);
      const marker = markers
        .map((each) => (markers.length > 1 && / or /.test(each) ? `(${each})` : each))
        .join(" and ");
      return [{ name, extras: texts(entry.extras).map(normalName), marker, constraint: text(entry.version) ?? "*" }];
    }),
  );
}

/** Poetry names no version in an edge, but a constraint: this finds the one version of the lock that it admits. */
function exactIn(all: Table[]): (edge: Edge) => Edge {
  const versions = Map.groupBy(all, ({ name }) => normalName(text(name) ?? ""));
  return (edge) => {
    const candidates = versions.get(edge.name) ?? [];
    const fitting = candidates.filter(({ version }) => admits(edge.constraint ?? "*", text(version) ?? ""));
    return fitting.length === 1 ? { ...edge, version: text(fitting[0]?.version) } : edge;
  };
}

function packagesOf(all: Table[]): LockedPackage<Table>[] {
  const exact = exactIn(all);
  return all.map((one) => {
    const optional = Object.entries(table(one.extras)).map(([extra, needs]) => [normalName(extra), needs] as const);
    const extras = optional.map(([extra, needs]) => {
      const names = new Map(texts(needs).map((each) => [normalName(/^[\w.-]+/.exec(each)?.[0] ?? ""), extrasOf(each)]));
      const edges = poetryEdges(one.dependencies, (name, { optional }) => optional === true && names.has(name));
      return [extra, edges.map(exact)] as const;
    });
    return {
      name: normalName(text(one.name) ?? ""),
      version: text(one.version) ?? "",
      needs: poetryEdges(one.dependencies, (_, { optional }) => optional !== true).map(exact),
      extras: new Map(extras),
      what: one,
    };
  });
}

/** Locks before version 2 have the files of all packages at their end. */
function hashesOf(lock: Table): (one: Table) => string[] {
  const older = table(table(lock.metadata).files);
  return ({ name, files }) => tables(files ?? older[text(name) ?? ""]).flatMap(({ hash }) => text(hash) ?? []);
}

function requirementOf(one: Table, walked: string, folder: string, hashes: (one: Table) => string[]): Requirement {
  const name = normalName(text(one.name) ?? "");
  const version = text(one.version) ?? "";
  const marker = ownMarker(one) ?? walked;
  const { type, url, resolved_reference: commit, subdirectory } = table(one.source);
  const below = text(subdirectory) === undefined ? "" : `#subdirectory=${subdirectory}`;
  switch (type) {
    case "git":
      return { name, line: `${name} @ git+${url}@${commit}${below}`, marker, hashes: [] };
    case "directory":
    case "file":
      return { name, line: localPath(folder, String(url)), marker, hashes: [] };
    case "url":
      return { name, line: `${name} @ ${url}`, marker, hashes: hashes(one) };
    default:
      return { name, line: `${name}==${version}`, marker, hashes: hashes(one) };
  }
}

/** Poetry 2 writes for which environments a package is, in one text or for each group. */
function ownMarker({ markers }: Table): string | undefined {
  return text(markers) ?? text(table(markers).main);
}

function indexOf({ source }: Table): string[] {
  if (source === undefined) return [pypi];
  const { type, url } = table(source);
  return type === "legacy" && text(url) !== undefined ? [String(url)] : [];
}
