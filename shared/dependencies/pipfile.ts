import type { DependencySource } from "./form.ts";
import { type Dependencies, normalName, type Requirement } from "./requirement.ts";
import { parseToml, type Table, table, tables, text, texts } from "./values.ts";

/** Reads a Pipfile that has no lock. @throws CutoverError requirements_invalid */
export function readPipfile(content: string, { file, groups }: DependencySource): Dependencies {
  const all = parseToml(content, file);
  const sections = ["packages", ...groups].map((name) => table(all[name]));
  const requirements = sections
    .flatMap((section) => Object.entries(section))
    .map(([name, entry]) => requirementOf(name, entry));
  const indexes = tables(all.source).flatMap(({ url }) => text(url) ?? []);
  return { file, locked: false, requirements, indexes, warnings: [] };
}

function requirementOf(given: string, value: unknown): Requirement {
  const entry: Table = typeof value === "string" ? { version: value } : table(value);
  const name = normalName(given);
  const version = text(entry.version);
  const extras = texts(entry.extras);
  const marker = text(entry.markers) ?? "";
  const named = `${name}${extras.length > 0 ? `[${extras.join(",")}]` : ""}`;
  const [git, path, file] = [text(entry.git), text(entry.path), text(entry.file)];
  const reference = text(entry.ref);
  if (git !== undefined) {
    return { name, line: `${named} @ git+${git}${reference === undefined ? "" : `@${reference}`}`, marker, hashes: [] };
  }
  if (path !== undefined) return { name, line: path.startsWith(".") ? path : `./${path}`, marker, hashes: [] };
  if (file !== undefined) return { name, line: `${named} @ ${file}`, marker, hashes: [] };
  return { name, line: `${named}${version === "*" ? "" : (version ?? "")}`, marker, hashes: [] };
}
