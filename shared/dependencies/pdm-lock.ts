import { type Edge, type LockedPackage, reach } from "./graph.ts";
import { edgeOfRequirement, type LockReading, localPath, type Selection } from "./lock.ts";
import { normalName, type Requirement } from "./requirement.ts";
import { parseToml, type Table, table, tables, text, texts } from "./values.ts";

/**
 * Reads pdm.lock. An entry says in which groups it is; locks of older versions do not, and are walked from what the project
 * needs. @throws CutoverError requirements_invalid
 */
export function readPdmLock(content: string, file: string, selection: Selection): LockReading {
  const lock = parseToml(content, file);
  const all = tables(lock.package);
  const known = new Set(
    ["default", ...texts(table(lock.metadata).groups), ...all.flatMap(({ groups }) => texts(groups))].map(normalName),
  );
  const asked = [...selection.extras, ...selection.groups];
  const wanted = ["default", ...asked];
  const grouped = all.length > 0 && all.every(({ groups }) => Array.isArray(groups));
  const { reached, missing } = grouped ? inGroups(all, wanted) : reach(packagesOf(all, lock), selection.direct);
  const hashes = olderHashes(lock);
  return {
    requirements: onceEach(reached.map(({ what, marker }) => requirementOf(what, marker, selection.folder, hashes))),
    missing,
    unknown: grouped ? asked.filter((name) => !known.has(name)) : [],
    indexes: [],
    installed: false,
  };
}

function inGroups(all: Table[], wanted: string[]) {
  const inside = all.filter(({ groups }) => texts(groups).some((group) => wanted.includes(normalName(group))));
  return { reached: inside.map((what) => ({ what, marker: text(what.marker) ?? "" })), missing: [] };
}

/** A package with extras is an entry of its own, which needs the one without. */
function packagesOf(all: Table[], _lock: Table): LockedPackage<Table>[] {
  const plain = all.filter(({ extras }) => texts(extras).length === 0);
  return plain.map((one) => {
    const name = normalName(text(one.name) ?? "");
    const extras = new Map<string, Edge[]>();
    for (const other of all) {
      if (normalName(text(other.name) ?? "") !== name) continue;
      for (const extra of texts(other.extras))
        extras.set(normalName(extra), texts(other.dependencies).map(edgeOfRequirement));
    }
    return {
      name,
      version: text(one.version) ?? "",
      needs: texts(one.dependencies).map(edgeOfRequirement),
      extras,
      what: one,
    };
  });
}

/** Locks of older versions have the hashes at their end, by `name version`. */
function olderHashes(lock: Table): Table {
  return table(table(lock.metadata).files);
}

function requirementOf(one: Table, marker: string, folder: string, older: Table): Requirement {
  const name = normalName(text(one.name) ?? "");
  const version = text(one.version) ?? "";
  const git = text(one.git);
  if (git !== undefined) {
    const below = text(one.subdirectory);
    const address = `git+${git}@${text(one.revision) ?? text(one.ref) ?? "HEAD"}`;
    return {
      name,
      line: `${name} @ ${address}${below === undefined ? "" : `#subdirectory=${below}`}`,
      marker,
      hashes: [],
    };
  }
  const place = text(one.path);
  if (place !== undefined) return { name, line: localPath(folder, place), marker, hashes: [] };
  const files = [...tables(one.files), ...tables(older[`${text(one.name)} ${version}`])];
  const hashes = files.flatMap(({ hash }) => text(hash) ?? []);
  const url = text(one.url);
  return { name, line: url === undefined ? `${name}==${version}` : `${name} @ ${url}`, marker, hashes };
}

/** An entry with extras has the same name, version and files as the one without. */
function onceEach(all: Requirement[]): Requirement[] {
  const seen = new Map<string, Requirement>();
  for (const one of all) {
    const key = `${one.line};${one.marker}`;
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}
