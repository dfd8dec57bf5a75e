import { readFileSync, writeFileSync } from "node:fs";
import { renderConfigSchema } from "./config-schema.ts";

// `npm run build:schema`: shared/cutover.schema.json, from the definition and the README's table.
writeFileSync(
  new URL("cutover.schema.json", import.meta.url),
  renderConfigSchema(readFileSync(new URL("../README.md", import.meta.url), "utf8")),
);
