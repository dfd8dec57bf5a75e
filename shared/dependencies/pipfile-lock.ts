import { type LockReading, localPath, type Selection } from "./lock.ts";
import { normalName, type Requirement } from "./requirement.ts";
import { at, parseJson, type Table, table, tables, text, texts } from "./values.ts";

/** Reads Pipfile.lock, whose sections have all that is needed: `default`, and one for each category. @throws CutoverError requirements_invalid */
export function readPipfileLock(content: string, file: string, { groups, extras, folder }: Selection): LockReading {
  const lock = parseJson(content, file);
  const sections = ["default", ...groups].map((name) => table(lock[name]));
  const entries = sections.flatMap((section) => Object.entries(section));
  const requirements = entries.map(([name, entry]) => requirementOf(normalName(name), table(entry), folder));
  const unknown = [...extras, ...groups.filter((name) => lock[name] === undefined)];
  const indexes = tables(at(lock, "_meta", "sources")).flatMap(({ url }) => text(url) ?? []);
  return { requirements, missing: [], unknown, indexes, installed: false };
}

function requirementOf(name: string, entry: Table, folder: string): Requirement {
  const marker = text(entry.markers) ?? "";
  const git = text(entry.git);
  if (git !== undefined) {
    const below = text(entry.subdirectory);
    const address = `git+${git}@${text(entry.ref) ?? "HEAD"}${below === undefined ? "" : `#subdirectory=${below}`}`;
    return { name, line: `${name} @ ${address}`, marker, hashes: [] };
  }
  const address = text(entry.file);
  const place = text(entry.path) ?? (address?.includes("://") ? undefined : address);
  if (place !== undefined) return { name, line: localPath(folder, place), marker, hashes: [] };
  const hashes = texts(entry.hashes);
  if (address !== undefined) return { name, line: `${name} @ ${address}`, marker, hashes };
  const extras = texts(entry.extras);
  const version = text(entry.version);
  return {
    name,
    line: `${name}${extras.length > 0 ? `[${extras.join(",")}]` : ""}${version === "*" ? "" : (version ?? "")}`,
    marker,
    hashes,
  };
}
