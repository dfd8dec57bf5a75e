import { z } from "zod";

/** The part of a JSON Schema that the reference is made of; `absent` is ours, what else is JSON Schema's. */
export interface JsonSchema {
  description?: string;
  /** What holds when the key is not given, in words, if that is no constant. */
  absent?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema;
  anyOf?: JsonSchema[];
  default?: unknown;
}

/** Every key that holds a value, as a dotted path; `[]` for the items of a list, `*` for a name of the reader's own. */
export function leaves(node: JsonSchema, path = ""): [string, JsonSchema][] {
  // A word or keys, such as `site`: the key itself, and those keys.
  const keyed = node.anyOf?.find(({ properties }) => properties !== undefined);
  if (keyed !== undefined) return [[path, node], ...leaves(keyed, path)];
  const properties = Object.entries(node.properties ?? {});
  if (properties.length > 0) {
    return properties.flatMap(([key, value]) => leaves(value, path === "" ? key : `${path}.${key}`));
  }
  if (node.additionalProperties?.properties !== undefined) return leaves(node.additionalProperties, `${path}.*`);
  return node.items?.properties !== undefined ? leaves(node.items, `${path}[]`) : [[path, node]];
}

export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
}

export interface Key {
  path: string;
  /** One or two sentences of Markdown, with links relative to the README that shows the key. */
  description: string;
  /** The default, or what holds without the key, as Markdown; empty if nothing does. */
  default: string;
}

/** What a person can write into a settings file, for its reference. @throws Error if a key has no description */
export function keysOf(schema: z.ZodType): Key[] {
  const root = jsonSchemaOf(schema);
  return leaves(root).map(([path, node]) => {
    if (node.description === undefined) throw new Error(`${path} has no description`);
    return { path, description: node.description, default: defaultOf(root, path, node) };
  });
}

/** What the keys are that hold other keys, such as `webhooks`. */
export function sectionOf(schema: z.ZodType, path: string): Key {
  const description = jsonSchemaOf(schema).properties?.[path]?.description;
  if (description === undefined) throw new Error(`${path} has no description`);
  return { path, description, default: "" };
}

function defaultOf(root: JsonSchema, path: string, node: JsonSchema): string {
  if (node.absent !== undefined) return node.absent;
  const value = node.default;
  if (Array.isArray(value)) return value.length === 0 ? "" : `\`[${value.join(", ")}]\``;
  if (value !== undefined && typeof value !== "object") return `\`${value}\``;
  return requirement(root, path.split("."));
}

/** A key of an optional section is needed only if the section is given. */
function requirement(node: JsonSchema, [step = "", ...rest]: string[], section = ""): string {
  const inside = node.anyOf?.find(({ properties }) => properties !== undefined) ?? node;
  if (step === "*") return requirement(inside.additionalProperties ?? {}, rest);
  const name = step.replace("[]", "");
  const required = inside.required?.includes(name) ?? false;
  if (rest.length === 0) return required ? `required${section}` : "";
  const child = inside.properties?.[name] ?? {};
  if (step.endsWith("[]")) return requirement(child.items ?? {}, rest);
  return requirement(child, rest, required || child.default !== undefined ? "" : ` in \`${name}\``);
}

/** A description without Markdown's links, for readers that show text as it is. */
export function withoutLinks(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}
