import { parse } from "smol-toml";

/** A table of TOML, or a mapping of YAML. */
export type Table = Record<string, unknown>;

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What stands at a path of keys; undefined if there is nothing. */
export function valueAt(value: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>((each, key) => (isTable(each) ? each[key] : undefined), value);
}

/** The value of a TOML text; undefined if the text is not TOML. `check` says what is wrong with it. */
export function tomlValue(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}
