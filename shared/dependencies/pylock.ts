import { type LockReading, localPath, type Selection } from "./lock.ts";
import { withoutGroups } from "./markers.ts";
import { normalName, pypi, type Requirement } from "./requirement.ts";
import { at, parseToml, type Table, table, tables, text, texts } from "./values.ts";

/** Reads a pylock.toml (PEP 751), which lists all that is installed. @throws CutoverError requirements_invalid */
export function readPylock(content: string, file: string, selection: Selection): LockReading {
  const lock = parseToml(content, file);
  const known = {
    extras: texts(lock.extras).map(normalName),
    groups: texts(lock["dependency-groups"]).map(normalName),
  };
  const included = { extras: selection.extras, groups: [...texts(lock["default-groups"]), ...selection.groups] };
  const wanted = tables(lock.packages).flatMap((one) => {
    const marker = withoutGroups(text(one.marker) ?? "", included);
    return marker === undefined ? [] : [{ one, marker }];
  });
  return {
    requirements: wanted.map(({ one, marker }) => requirementOf(one, marker, selection.folder)),
    missing: [],
    unknown: [
      ...selection.extras.filter((name) => !known.extras.includes(name)),
      ...selection.groups.filter((name) => !known.groups.includes(name)),
    ],
    indexes: wanted.flatMap(({ one }) => (one.version === undefined ? [] : (text(one.index) ?? pypi))),
    installed: false,
  };
}

function requirementOf(one: Table, marker: string, folder: string): Requirement {
  const name = normalName(text(one.name) ?? "");
  const place = text(at(one, "directory", "path")) ?? text(at(one, "vcs", "path")) ?? text(at(one, "archive", "path"));
  if (place !== undefined) return { name, line: localPath(folder, place), marker, hashes: [] };
  const { type, url: repository, "commit-id": commit, subdirectory } = table(one.vcs);
  if (text(repository) !== undefined) {
    const below = text(subdirectory) === undefined ? "" : `#subdirectory=${subdirectory}`;
    return { name, line: `${name} @ ${text(type) ?? "git"}+${repository}@${commit}${below}`, marker, hashes: [] };
  }
  const archive = text(at(one, "archive", "url"));
  if (archive !== undefined)
    return { name, line: `${name} @ ${archive}`, marker, hashes: hashesOf(table(one.archive)) };
  const version = text(one.version);
  const files = [...(one.sdist === undefined ? [] : [table(one.sdist)]), ...tables(one.wheels)];
  return { name, line: version === undefined ? name : `${name}==${version}`, marker, hashes: files.flatMap(hashesOf) };
}

/** pip knows these three. */
function hashesOf({ hashes }: Table): string[] {
  return ["sha256", "sha384", "sha512"].flatMap((kind) => {
    const digest = text(at(hashes, kind));
    return digest === undefined ? [] : [`${kind}:${digest}`];
  });
}
