import { isUtf8 } from "node:buffer";

/** In bytes, but for the depth. */
export interface ListLimits {
  /** All but the values of the list. */
  outside: number;
  /** One value of the list. */
  value: number;
  /** Of brackets within each other: a parser needs much memory for them. */
  depth: number;
}

const [quote, backslash, comma, openArray, closeArray, openObject, closeObject] = Buffer.from('"\\,[]{}');

/**
 * Takes a JSON text apart as its bytes come: into the values of one long list, which is a member of the outermost object, and
 * all the rest. So the list never is one string, and never whole in memory. It parses nothing: the caller parses what it gives
 * out, and together that is exactly the text.
 */
export class ListReader {
  readonly #opening: Buffer;
  readonly #limits: ListLimits;
  #place: "before" | "inside" | "after" = "before";
  readonly #outside: Buffer[] = [];
  #outsideSize = 0;
  /** Before the list all that has come; inside it the beginning of a value. */
  #rest: Buffer = Buffer.alloc(0);
  #before: Buffer | undefined;
  #cut = false;

  /** @param key of the list */
  constructor(key: string, limits: ListLimits) {
    this.#opening = Buffer.from(`${JSON.stringify(key)}:[`);
    this.#limits = limits;
  }

  /** @returns the values that are whole now, as JSON without the list's brackets; "" if there are none @throws Error */
  push(bytes: Buffer): string {
    const inside = this.#place === "before" ? this.#begin(bytes) : bytes;
    if (this.#place === "inside") return this.#values(Buffer.concat([this.#rest, inside]));
    if (this.#place === "after") this.#keep(inside);
    return "";
  }

  /** @returns the text with an empty list @throws Error if it ends within the list */
  end(): string {
    if (this.#place === "before") this.#keep(this.#rest);
    if (this.#place === "inside") throw notJson();
    const outside = Buffer.concat(this.#outside);
    if (!isUtf8(outside)) throw notUtf8();
    scan(outside, this.#limits.depth);
    return outside.toString("utf8");
  }

  /** @returns what belongs to the list; nothing if it has not begun */
  #begin(bytes: Buffer): Buffer {
    const all = this.#append(bytes);
    const { found } = scan(all, this.#limits.depth, this.#opening);
    if (found === undefined) {
      if (all.length > this.#limits.outside) throw this.#tooLong();
      this.#rest = all;
      return all.subarray(all.length);
    }
    this.#keep(all.subarray(0, found));
    this.#rest = Buffer.alloc(0);
    this.#place = "inside";
    return all.subarray(found);
  }

  /** All that has come before the list, in one buffer that is made once: copies of copies would add up. */
  #append(bytes: Buffer): Buffer {
    if (this.#rest.length === 0) return bytes;
    this.#before ??= Buffer.allocUnsafeSlow(this.#limits.outside + bytes.length);
    const length = this.#rest.length + bytes.length;
    if (length > this.#before.length) throw this.#tooLong();
    if (this.#rest.buffer !== this.#before.buffer) this.#rest.copy(this.#before);
    bytes.copy(this.#before, this.#rest.length);
    return this.#before.subarray(0, length);
  }

  #values(all: Buffer): string {
    const { comma: last, closed } = scan(all, this.#limits.depth);
    const end = closed ?? last ?? 0;
    this.#rest = closed === undefined ? Buffer.from(all.subarray(last === undefined ? 0 : last + 1)) : Buffer.alloc(0);
    if (this.#rest.length > this.#limits.value) {
      throw new Error(`one of its values has more than ${this.#limits.value} bytes`);
    }
    const values = all.subarray(0, end);
    // A comma with nothing before it, or behind it.
    if (values.length === 0 && (closed === undefined ? last !== undefined : this.#cut)) throw notJson();
    this.#cut ||= values.length > 0;
    if (closed !== undefined) {
      this.#place = "after";
      this.#keep(all.subarray(closed));
    }
    if (!isUtf8(values)) throw notUtf8();
    return values.toString("utf8");
  }

  #keep(bytes: Buffer): void {
    this.#outsideSize += bytes.length;
    if (this.#outsideSize > this.#limits.outside) throw this.#tooLong();
    this.#outside.push(Buffer.from(bytes));
  }

  #tooLong(): Error {
    return new Error(`it has more than ${this.#limits.outside} bytes besides its list`);
  }
}

interface Scanned {
  /** Behind the opening, where that is a member of the outermost object. */
  found?: number;
  /** The last comma that is in no bracket. */
  comma?: number;
  /** The bracket that closes what begins before the bytes. */
  closed?: number;
}

/** Goes over bytes that begin outside of a string. @param opening where to stop @throws Error if they are nested too deep */
function scan(bytes: Buffer, deepest: number, opening?: Buffer): Scanned {
  const scanned: Scanned = {};
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      if (depth === 1 && startsAt(bytes, opening, at)) return { found: at + (opening?.length ?? 0) };
      at = endOfString(bytes, at);
      continue;
    }
    const step = stepOf(byte);
    if (depth + step < 0) return { ...scanned, closed: at };
    depth += step;
    if (depth > deepest) throw new Error(`it is nested deeper than ${deepest}`);
    if (depth === 0 && byte === comma) scanned.comma = at;
  }
  return scanned;
}

function stepOf(byte: number | undefined): number {
  if (byte === openArray || byte === openObject) return 1;
  return byte === closeArray || byte === closeObject ? -1 : 0;
}

function startsAt(bytes: Buffer, opening: Buffer | undefined, at: number): boolean {
  if (opening === undefined) return false;
  return bytes.compare(opening, 0, opening.length, at, Math.min(at + opening.length, bytes.length)) === 0;
}

/** Where the string that begins at a quote ends: at its other quote, or behind the last byte. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}

function notJson(): Error {
  return new Error("it is not JSON");
}

function notUtf8(): Error {
  return new Error("it is not UTF-8");
}
