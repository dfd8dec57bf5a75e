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
 * A JSON text exactly as `JSON.stringify` writes it, with a newline at the end: no byte order mark, no key twice, no
 * second way to write the same value. So two readers of the same bytes cannot see two things.
 * @throws Error that says what is wrong
 */
export function parsePlainJson(bytes: Uint8Array, limits: JsonLimits): unknown {
  return atOnce(plainJsonSteps(bytes, limits));
}

/** The same in steps, each of which is short for the event loop even if the text is long. */
export function* plainJsonSteps(bytes: Uint8Array, limits: JsonLimits): Generator<void, unknown> {
  checkStructure(bytes, limits);
  yield;
  const text = decode(bytes);
  const value = parse(text);
  yield;
  if (`${JSON.stringify(value)}\n` !== text) {
    throw new Error("it is not as JSON.stringify writes it: a key occurs twice, or there is more than values");
  }
  return value;
}

/** Runs all steps. @returns their result */
export function atOnce<T>(steps: Generator<void, T>): T {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

/** The value of a JSON text; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Error("it is not UTF-8", { cause });
  }
}

function parse(text: string): unknown {
  if (text.startsWith("\ufeff")) throw new Error("it begins with a byte order mark");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
}

const [quote, backslash, comma, openArray, closeArray, openObject, closeObject] = Buffer.from('"\\,[]{}');

function checkStructure(bytes: Uint8Array, limits: JsonLimits): void {
  let depth = 0;
  let parts = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      at = endOfString(bytes, at);
    } else if (byte === comma) {
      parts++;
    } else if (byte === openArray || byte === openObject) {
      parts++;
      depth++;
    } else if (byte === closeArray || byte === closeObject) {
      depth--;
    }
    if (depth > limits.depth) throw new Error(`it is nested deeper than ${limits.depth}`);
    if (parts > limits.parts) throw new Error(`it has more than ${limits.parts} values`);
  }
}

/** Where the string that begins at a quote ends: at its other quote, or behind the last byte. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}
