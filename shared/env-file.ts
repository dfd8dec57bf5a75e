import { parseEnv } from "node:util";
import { environmentName } from "./config-values.ts";

/**
 * The host's file of an app's secrets: NAME=value lines as node:util's parseEnv reads them. It has no escapes: a value
 * has no quotes, or one of three kinds that it does not contain. So a change is made, read back, and kept only if it is
 * right.
 */
export type EnvValues = Record<string, string>;

/** What cutover sets itself, over the host's file: a value for one of these would have no effect. */
export const reservedNames = ["PATH", "VIRTUAL_ENV", "HOME", "USER", "LOGNAME", "PYTHONUNBUFFERED"] as const;

/** Bytes of one value: the kernel takes at most twice as much for one variable with its name. */
const longestValue = 65_536;

/** Why a name cannot be set; undefined if it can. */
export function nameFault(name: string): string | undefined {
  if (!environmentName.safeParse(name).success)
    return "is not a variable name: letters, digits and _, and no digit first";
  if (name.startsWith("CUTOVER_")) return "is cutover's own: it says which release the app is";
  if ((reservedNames as readonly string[]).includes(name))
    return "is set by cutover for every process, above this file";
  return undefined;
}

/** Why no line of an env file can contain a value; undefined if one can. Never shows the value. */
export function valueFault(value: string): string | undefined {
  if (value.includes("\0")) return "holds a NUL character, which no process's environment can";
  if (value.includes("\r")) return "holds a carriage return, which the reader of this file drops";
  if (value.includes("\ufffd")) return "is not UTF-8";
  if (Buffer.byteLength(value) > longestValue) return `is longer than ${longestValue} bytes`;
  return writings(value).length === 0 ? "holds all three kinds of quotes and more than a plain line can" : undefined;
}

export function parseEnvFile(text: string): EnvValues {
  return parseEnv(withoutMark(text)) as EnvValues;
}

/** Some editors put a byte order mark at the start of a file, which would become part of the first name. */
function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, "");
}

/** The ways to write a value that are read back as exactly this value, the plainest first. */
function writings(value: string): string[] {
  const bare = /^[A-Za-z0-9_./:@%+,=-]+$/.test(value) ? [value] : [];
  const quoted = ["'", '"', "`"].filter((quote) => !value.includes(quote)).map((quote) => quote + value + quote);
  return [...bare, ...quoted, value].filter((text) => readsBack(text, value));
}

/** Reads it back between two other lines: it must neither swallow the next line nor be swallowed by the previous one. */
function readsBack(text: string, value: string): boolean {
  return same(parseEnvFile(`A=1\nNAME=${text}\nZ='1'\n`), { A: "1", NAME: value, Z: "1" });
}

/**
 * The text with these variables set, or removed if the value is undefined. Comments and all other lines stay.
 * @returns undefined if the file cannot be changed without changing how other lines are read: it has an open quote
 */
export function changeEnvFile(text: string, changes: Record<string, string | undefined>): string | undefined {
  let next = withoutMark(text);
  for (const [name, value] of Object.entries(changes)) {
    const changed = value === undefined ? without(next, name) : withValue(next, name, value);
    if (changed === undefined) return undefined;
    next = changed;
  }
  return next;
}

function without(text: string, name: string): string | undefined {
  const { [name]: _, ...wanted } = parseEnvFile(text);
  let next = text;
  for (const { start, lineEnd } of entries(text).toReversed()) {
    if (entryName(text, start) === name) next = next.slice(0, start) + next.slice(lineEnd);
  }
  return same(parseEnvFile(next), wanted) ? next : undefined;
}

/** Replaces the last line that sets it, which is the one that counts; without such a line, adds one at the end. */
function withValue(text: string, name: string, value: string): string | undefined {
  const wanted = { ...parseEnvFile(text), [name]: value };
  const own = entries(text).filter(({ start }) => entryName(text, start) === name);
  for (const writing of writings(value)) {
    let next = text;
    const last = own.at(-1);
    if (last === undefined) next += `${text === "" || text.endsWith("\n") ? "" : "\n"}${name}=${writing}\n`;
    else next = `${text.slice(0, last.start)}${name}=${writing}${text.slice(last.end)}`;
    for (const { start, lineEnd } of own.slice(0, -1).toReversed()) next = next.slice(0, start) + next.slice(lineEnd);
    if (same(parseEnvFile(next), wanted)) return next;
  }
  return undefined;
}

interface Entry {
  start: number;
  /** After the value; a comment may follow on the line. */
  end: number;
  /** After the line's newline. */
  lineEnd: number;
}

/** Lines that do not mean what they seem to mean, without their values. The reader itself never complains. */
export function envFileFaults(file: string): { line: number; message: string }[] {
  const text = withoutMark(file);
  const found = entries(text);
  const read = parseEnvFile(text);
  const lineOf = (offset: number) => text.slice(0, offset).split("\n").length;
  const faults = found.flatMap(({ start, end, lineEnd }): { line: number; message: string }[] => {
    const name = entryName(text, start);
    const fault = nameFault(name);
    const line = lineOf(start);
    if (fault !== undefined) {
      const told = environmentName.safeParse(name).success ? name : "what is before the =";
      return [{ line, message: `${told} ${fault}` }];
    }
    const lines = text.slice(start, end).split("\n").slice(1);
    if (lines.some((each) => /^\s*(?:export\s+)?[A-Za-z_]\w*=/.test(each))) {
      return [
        { line, message: `the quote that opens here continues to line ${lineOf(lineEnd - 1)}, over other variables` },
      ];
    }
    if (Object.hasOwn(read, name)) return [];
    return [{ line, message: `${name} is not set: the value of the line before it is empty or its quote is open` }];
  });
  const inside = (offset: number) => found.some(({ start, lineEnd }) => offset >= start && offset < lineEnd);
  let offset = 0;
  for (const line of text.split("\n")) {
    if (!inside(offset) && line.trim() !== "" && !/^\s*#/.test(line)) {
      faults.push({ line: lineOf(offset), message: "is not NAME=value" });
    }
    offset += line.length + 1;
  }
  return faults.toSorted((a, b) => a.line - b.line);
}

/**
 * The lines that set something, as the reader finds them: a quoted value goes on to its closing quote, over several
 * lines.
 */
function entries(text: string): Entry[] {
  const found: Entry[] = [];
  for (let start = 0; start < text.length; ) {
    const newline = endOfLine(text, start);
    const line = text.slice(start, newline);
    const equals = line.indexOf("=");
    if (equals === -1 || /^\s*#/.test(line)) {
      start = newline + 1;
      continue;
    }
    const entry = entryAt(text, start, start + equals + 1);
    found.push(entry);
    start = entry.lineEnd;
  }
  return found;
}

function entryAt(text: string, start: number, afterEquals: number): Entry {
  const newline = endOfLine(text, afterEquals);
  const rest = text.slice(afterEquals, newline);
  const value = afterEquals + (rest.length - rest.trimStart().length);
  const quote = text[value] ?? "";
  const closing = ["'", '"', "`"].includes(quote) ? text.indexOf(quote, value + 1) : -1;
  if (closing !== -1) return { start, end: closing + 1, lineEnd: Math.min(text.length, endOfLine(text, closing) + 1) };
  const comment = rest.indexOf("#");
  const bare = comment === -1 ? rest : rest.slice(0, comment);
  return { start, end: afterEquals + bare.trimEnd().length, lineEnd: Math.min(text.length, newline + 1) };
}

function endOfLine(text: string, from: number): number {
  const newline = text.indexOf("\n", from);
  return newline === -1 ? text.length : newline;
}

function entryName(text: string, start: number): string {
  return text
    .slice(start, text.indexOf("=", start))
    .trim()
    .replace(/^export\s+/, "");
}

function same(a: EnvValues, b: EnvValues): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
