import { z } from "zod";
import { configSchema } from "./config.ts";
import { withoutLinks } from "./schema-keys.ts";

/** Where editors find the schema of a version. */
export function schemaUrl(version: string): string {
  return `https://raw.githubusercontent.com/cutover/cutover/${version}/shared/cutover.schema.json`;
}

interface Node {
  required?: string[];
  properties?: Record<string, Node>;
}

/**
 * The JSON Schema of cutover.yml, for editors: the definition itself. It lacks the pairs of keys that exclude each other;
 * `cutover check` knows them.
 */
export function configJsonSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-2020-12",
    override: ({ jsonSchema }) => {
      if (jsonSchema.description !== undefined) jsonSchema.description = withoutLinks(jsonSchema.description);
      delete jsonSchema.absent;
    },
  });
  const root = schema as Node;
  // The Action finds out what the file does not say about its server.
  root.required = root.required?.filter((key) => key !== "server") ?? [];
  const server = root.properties?.server;
  if (server?.required !== undefined) server.required = server.required.filter((key) => key !== "kind");
  return { $schema, $id: schemaUrl("main"), title: "cutover.yml", description: "How cutover deploys an app.", ...root };
}

/** The text of the committed file. */
export function renderConfigSchema(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
}
