export interface JsonSchema {
  properties?: Record<string, JsonSchema>;
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
