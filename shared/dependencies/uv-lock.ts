import { type Edge, type LockedPackage, reach } from "./graph.ts";
import { type LockReading, localPath, type Selection } from "./lock.ts";
import { normalName, type Requirement } from "./requirement.ts";
import { at, parseToml, type Table, table, tables, text } from "./values.ts";

/** Reads uv.lock: what the project needs, as `uv export --no-dev` writes it. @throws CutoverError requirements_invalid */
export function readUvLock(content: string, file: string, selection: Selection): LockReading {
  const all = tables(parseToml(content, file).package);
  const root = all.find((one) => isRoot(one, selection));
  const packages = all.filter((one) => one !== root).map(lockedPackage);
  const roots = root === undefined ? selection.direct : rootEdges(root, selection);
  const { reached, missing } = reach(packages, roots);
  const found = reached.flatMap(({ what, marker }) => requirementOf(what, marker, selection.folder));
  const unknown = root === undefined ? [] : unknownNames(root, selection);
  return {
    requirements: found,
    missing,
    unknown,
    indexes: reached.flatMap(({ what }) => text(at(what, "source", "registry")) ?? []),
    // `virtual` is a project that is not installed itself.
    installed: root !== undefined && at(root, "source", "virtual") === undefined,
  };
}

/** A member of a workspace is known by its name, a project beside its lock by its place. */
function isRoot(one: Table, { project, folder }: Selection): boolean {
  const place = localPlace(one);
  if (place === undefined) return false;
  return project === undefined ? folder === "" && place === "." : normalName(text(one.name) ?? "") === project;
}

function localPlace({ source }: Table): string | undefined {
  const { virtual, editable, directory } = table(source);
  return text(virtual) ?? text(editable) ?? text(directory);
}

function lockedPackage(one: Table): LockedPackage<Table> {
  const extras = Object.entries(table(one["optional-dependencies"]));
  return {
    name: normalName(text(one.name) ?? ""),
    version: text(one.version) ?? "",
    needs: tables(one.dependencies).map(edgeOf),
    extras: new Map(extras.map(([extra, needs]) => [normalName(extra), tables(needs).map(edgeOf)])),
    what: one,
  };
}

function edgeOf({ name, version, marker, extra }: Table): Edge {
  const extras = Array.isArray(extra) ? extra : [];
  return {
    name: normalName(text(name) ?? ""),
    version: text(version),
    marker: text(marker) ?? "",
    extras: extras.map((each) => normalName(String(each))),
  };
}

function rootEdges(root: Table, { extras, groups }: Selection): Edge[] {
  const optional = table(root["optional-dependencies"]);
  const development = table(root["dev-dependencies"]);
  const lists = [
    root.dependencies,
    ...Object.entries(optional).flatMap(([name, needs]) => (extras.includes(normalName(name)) ? [needs] : [])),
    ...Object.entries(development).flatMap(([name, needs]) => (groups.includes(normalName(name)) ? [needs] : [])),
  ];
  return lists.flatMap((needs) => tables(needs).map(edgeOf));
}

function unknownNames(root: Table, { extras, groups }: Selection): string[] {
  const known = (value: unknown) => Object.keys(table(value)).map(normalName);
  return [
    ...extras.filter((name) => !known(root["optional-dependencies"]).includes(name)),
    ...groups.filter((name) => !known(root["dev-dependencies"]).includes(name)),
  ];
}

function requirementOf(one: Table, marker: string, folder: string): Requirement[] {
  const name = normalName(text(one.name) ?? "");
  const source = table(one.source);
  // It has dependencies, but is not installed itself.
  if (text(source.virtual) !== undefined) return [];
  const place = text(source.editable) ?? text(source.directory) ?? text(source.path);
  if (place !== undefined) return [{ name, line: localPath(folder, place), marker, hashes: [] }];
  const git = text(source.git);
  if (git !== undefined) return [{ name, line: `${name} @ ${gitAddress(git)}`, marker, hashes: [] }];
  const url = text(source.url);
  const hashes = filesOf(one).flatMap(({ hash }) => text(hash) ?? []);
  if (url !== undefined) return [{ name, line: `${name} @ ${url}`, marker, hashes }];
  return [{ name, line: `${name}==${text(one.version) ?? ""}`, marker, hashes }];
}

function filesOf({ sdist, wheels }: Table): Table[] {
  return [...(sdist === undefined ? [] : [table(sdist)]), ...tables(wheels)];
}

/** `https://host/lib?rev=main&subdirectory=python#<commit>`, as uv writes it, as pip takes it. */
function gitAddress(given: string): string {
  const [address = "", commit = ""] = given.split("#");
  const [repository = "", query = ""] = address.split("?");
  const subdirectory = new URLSearchParams(query).get("subdirectory");
  const below = subdirectory === null ? "" : `#subdirectory=${subdirectory}`;
  return `git+${repository}@${commit}${below}`;
}
