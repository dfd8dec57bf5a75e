import { z } from "zod";
import { configSchema } from "./config.ts";

/** Where editors find the schema of a version. */
export function schemaUrl(version: string): string {
  return `https://raw.githubusercontent.com/cutover/cutover/${version}/shared/cutover.schema.json`;
}

interface Node {
  description?: string;
  required?: string[];
  properties?: Record<string, Node>;
  items?: Node;
  anyOf?: Node[];
  additionalProperties?: Node | boolean;
}

/** What the sections are; their keys stand in the README's table, which says what each is. */
export const sections: Record<string, string> = {
  server: "The web server and its instances.",
  health: "What each new instance is asked before visitors see the release.",
  python: "The interpreter and the packages of a release.",
  static: "Files that nginx serves without asking the app.",
  shared: "Files that outlive releases, such as uploads, served by nginx.",
  site: "nginx's server block; `none` leaves it to the host's owner.",
  "site.preview": "How the staged release is seen before it has traffic.",
  "site.peers": "Other hosts that nginx passes requests to as well.",
  release: "What is run once for a deploy, before any instance starts.",
  processes: "Processes that serve no HTTP, such as queue workers, by name.",
  env: "Plain environment of instances and commands; the host's secrets stand above it.",
  drain: "How old instances end.",
};

/** The first and last cells of the README's table of cutover.yml: what each key is. */
export function describedKeys(readme: string): Map<string, string> {
  const table = readme.split("<!-- reference:config -->")[1]?.split("<!-- /reference:config -->")[0] ?? "";
  return new Map(
    table.split("\n").flatMap((row): [string, string][] => {
      const [, key] = /^\| `([^`]+)` \|/.exec(row) ?? [];
      const what = row.split(/(?<!\\)\|/).at(-2);
      return key === undefined || what === undefined ? [] : [[key, what.trim().replaceAll("\\|", "|")]];
    }),
  );
}

/**
 * The JSON Schema of cutover.yml, for editors: the definition itself, with the README's words. It has not the pairs of keys
 * that exclude each other; `cutover check` has.
 */
export function configJsonSchema(readme: string): object {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, { io: "input", target: "draft-2020-12" });
  const root = schema as Node;
  // The Action finds out what the file does not say of its server.
  root.required = root.required?.filter((key) => key !== "server") ?? [];
  const server = root.properties?.server;
  if (server?.required !== undefined) server.required = server.required.filter((key) => key !== "kind");
  describe(root, "", describedKeys(readme));
  return { $schema, $id: schemaUrl("main"), title: "cutover.yml", description: "How cutover deploys an app.", ...root };
}

/** Paths as the README writes them: `static[].url`, `processes.*.command`. */
function describe(node: Node, path: string, texts: Map<string, string>): void {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const at = path === "" ? key : `${path}.${key}`;
    const text = texts.get(at) ?? texts.get(`${at}[]`) ?? sections[at.replaceAll("[]", "")];
    if (text !== undefined) child.description = text;
    describe(child, at, texts);
  }
  if (node.items !== undefined) describe(node.items, `${path}[]`, texts);
  for (const branch of node.anyOf ?? []) describe(branch, path, texts);
  const { additionalProperties: others } = node;
  if (typeof others === "object") describe(others, `${path}.*`, texts);
}

/** The text of the committed file. */
export function renderConfigSchema(readme: string): string {
  return `${JSON.stringify(configJsonSchema(readme), null, 2)}\n`;
}
