import { isUtf8 } from "node:buffer";

/**
 * How much structure a JSON text may have, counted before it is parsed: a parser can make gigabytes of a few megabytes
 * of brackets.
 */
export interface JsonLimits {
  depth: number;
  /** Arrays, objects and commas together. */
  parts: number;
}

/**
 * The value of a JSON text that is exactly as `JSON.stringify` writes it: no byte order mark, no key twice, no second way to
 * write the same value. So two readers of the same bytes cannot see two things.
 * @throws Error that says what is wrong
 */
export function parsePlainJson(text: string): unknown {
  if (text.startsWith("\ufeff")) throw new Error("it begins with a byte order mark");
  const value = parsed(text);
  if (JSON.stringify(value) !== text) {
    throw new Error("it is not as JSON.stringify writes it: a key occurs twice, or there is more than values");
  }
  return value;
}

/** The value of a JSON text; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
}

const [quote, backslash, comma, openArray, closeArray, openObject, closeObject] = Buffer.from('"\\,[]{}');

/** Bytes from one place up to another, which is not one of them. */
export interface Span {
  start: number;
  end: number;
}

/**
 * Checks bytes before anything of them is parsed, and finds a list that is a member of their outermost object.
 * @param key the list's
 * @returns what is between its brackets; undefined if there is none
 * @throws Error that says what is wrong
 */
export function findList(bytes: Buffer, key: string, limits: JsonLimits): Span | undefined {
  if (!isUtf8(bytes)) throw new Error("it is not UTF-8");
  const opening = Buffer.from(`${JSON.stringify(key)}:[`);
  let depth = 0;
  let parts = 0;
  let found: Span | undefined;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      if (depth === 1 && found === undefined && startsAt(bytes, opening, at)) {
        found = { start: at + opening.length, end: bytes.length };
      }
      at = endOfString(bytes, at);
      continue;
    }
    parts += addsPart(byte);
    depth += addsDepth(byte);
    if (depth === 1 && byte === closeArray && found?.end === bytes.length) found.end = at;
    if (depth > limits.depth) throw new Error(`it is nested deeper than ${limits.depth}`);
    if (parts > limits.parts) throw new Error(`it has more than ${limits.parts} values`);
  }
  return found;
}

/**
 * Cuts the values of a list into pieces at commas between them.
 * @param size in bytes: a piece has about so many, and at most `longest` more
 * @throws Error that says what is wrong
 */
export function* piecesOfList(bytes: Buffer, { start, end }: Span, size: number, longest: number): Generator<string> {
  let from = start;
  let depth = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === quote) at = endOfString(bytes, at);
    else depth += addsDepth(byte);
    if (at - from > size + longest) throw new Error(`one of its values has more than ${longest} bytes`);
    if (byte !== comma || depth > 0 || at - from < size) continue;
    yield bytes.toString("utf8", from, at);
    from = at + 1;
    if (from === end) throw new Error("it is not JSON");
  }
  if (from < end) yield bytes.toString("utf8", from, end);
}

function startsAt(bytes: Buffer, opening: Buffer, at: number): boolean {
  return bytes.compare(opening, 0, opening.length, at, Math.min(at + opening.length, bytes.length)) === 0;
}

function addsPart(byte: number | undefined): number {
  return byte === comma || byte === openArray || byte === openObject ? 1 : 0;
}

function addsDepth(byte: number | undefined): number {
  if (byte === openArray || byte === openObject) return 1;
  return byte === closeArray || byte === closeObject ? -1 : 0;
}

/** Where the string that begins at a quote ends: at its other quote, or behind the last byte. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}
