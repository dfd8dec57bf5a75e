import { parse } from "smol-toml";
import { CutoverError } from "../errors.ts";

/** What a TOML or JSON file holds. The tools that write locks change them often, so only what is needed is looked at. */
export type Table = Record<string, unknown>;

/** @throws CutoverError requirements_invalid, with the line of the fault */
export function parseToml(text: string, file: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** @throws CutoverError requirements_invalid */
export function parseJson(text: string, file: string): Table {
  try {
    return table(JSON.parse(text));
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): CutoverError {
  const [first = ""] = (cause as Error).message.split("\n");
  return requirementsInvalid(
    `${file} cannot be read: ${first}.`,
    "Correct the file, or let its tool write it again.",
    cause,
  );
}

export function requirementsInvalid(message: string, fix: string, cause?: unknown): CutoverError {
  return new CutoverError("requirements_invalid", message, { unchanged: "Nothing was sent.", fix, cause });
}

/** A table, empty if there is something else. */
export function table(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Table) : {};
}

export function tables(value: unknown): Table[] {
  return list(value).map(table);
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The texts among the values of a list. */
export function texts(value: unknown): string[] {
  return list(value).filter((each) => typeof each === "string");
}

/** undefined if it is no text, or empty. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The value below keys; undefined if one of them is missing. */
export function at(value: unknown, ...keys: string[]): unknown {
  return keys.reduce<unknown>((inner, key) => table(inner)[key], value);
}
