import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { configSchema } from "../../shared/config.ts";
import { renderConfigSchema } from "../../shared/config-schema.ts";
import { keysOf, withoutLinks } from "../../shared/schema-keys.ts";

const text = readFileSync("shared/cutover.schema.json", "utf8");
const schema = z.fromJSONSchema(JSON.parse(text));

test("the committed schema is what the definition gives", () => {
  expect(text === renderConfigSchema(), "run `npm run build:docs` and commit it").toBe(true);
});

test("every section and every key is described at its place, without links", () => {
  const found = new Map<string, string | undefined>();
  const visit = (node: Node, path: string): void => {
    for (const [key, child] of Object.entries(node.properties ?? {})) {
      const at = path === "" ? key : `${path}.${key}`;
      found.set(at.replaceAll("[]", ""), child.description);
      visit(child, at);
    }
    for (const inner of [node.items, ...(node.anyOf ?? [])]) if (inner !== undefined) visit(inner, path);
    if (typeof node.additionalProperties === "object") visit(node.additionalProperties, `${path}.*`);
  };
  visit(JSON.parse(text), "");
  for (const { path, description } of keysOf(configSchema))
    expect([path, found.get(path.replaceAll("[]", ""))]).toEqual([path, withoutLinks(description)]);
  for (const [path, description] of found) expect(description, path).toMatch(/^(?!.*\]\().*\.$/);
  expect(text).not.toContain('"absent"');
});

interface Node {
  description?: string;
  properties?: Record<string, Node>;
  items?: Node;
  anyOf?: Node[];
  additionalProperties?: Node | boolean;
}

const server = { kind: "gunicorn", app: "shop.wsgi:application" };

test.each([
  ["the sample project's file", parse(readFileSync("test/fixtures/shop/cutover.yml", "utf8"))],
  ["a file without a kind, which the Action finds out", { app: "shop", server: { app: "shop.wsgi:application" } }],
  ["the smallest file", { app: "shop" }],
  ["no site", { app: "shop", server, site: "none" }],
  ["addresses of both types", { app: "shop", server, site: { listen: [80, "443 ssl"] } }],
  ["commands of both types", { app: "shop", server, processes: { a: { command: "x y" }, b: { command: ["x", "y"] } } }],
])("the schema takes %s", (_, value) => {
  expect(schema.safeParse(value).error?.issues).toBeUndefined();
});

test.each([
  ["an unknown key", { app: "shop", server: { ...server, wrkers: 2 } }],
  ["a wrong kind", { app: "shop", server: { kind: "gunicron" } }],
  ["a wrong name of a process", { app: "shop", server, processes: { web: { command: "x" } } }],
  ["a number in env", { app: "shop", server, env: { SIZE: 20 } }],
  ["no app", { server }],
])("the schema refuses %s", (_, value) => {
  expect(schema.safeParse(value).success).toBe(false);
});
