import { readFileSync, writeFileSync } from "node:fs";
import { renderConfigSchema } from "../../shared/config-schema.ts";
import { references, withReferences } from "./reference.ts";

/**
 * What of the docs comes from the code, by file. The schemas, `errorCodes` and action.yml hold the words; the man pages are
 * made of the same words when the package is.
 */
export function generatedDocs(): Map<string, string> {
  const tables = references(readFileSync("action.yml", "utf8"));
  const pages = [...new Set(tables.map(({ file }) => file))].map((file): [string, string] => [
    file,
    withReferences(
      readFileSync(file, "utf8"),
      tables.filter((table) => table.file === file),
    ),
  ]);
  return new Map([...pages, ["shared/cutover.schema.json", renderConfigSchema()]]);
}

/** `npm run build:docs` */
if (import.meta.main) for (const [file, text] of generatedDocs()) writeFileSync(file, text);
