import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from "yaml";
import type { z } from "zod";
import { CutoverError, type ErrorCode } from "./errors.ts";
import { allKeys, type Fault, faultsOf, type YamlPath } from "./yaml-faults.ts";

export interface YamlFault {
  line: number;
  column: number;
  message: string;
}

export interface YamlErrors {
  notYaml: ErrorCode;
  invalid: ErrorCode;
}

/** A file's value, or everything that is wrong with it: why it is not YAML, or what the schema refuses. */
export type YamlResult<T> =
  | { kind: "good"; value: T; at(path: YamlPath): { line: number; column: number } }
  | { kind: "not yaml" | "invalid"; faults: YamlFault[] };

/**
 * Parses a settings file and checks it. Everything that is wrong with it is reported together, with line and column.
 * @param complete fills in what the file may leave out
 * @throws CutoverError with `errors.notYaml` or `errors.invalid`; its message has one `file:line:column: ...` a line
 */
export function parseYamlFile<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
  errors: YamlErrors,
  complete?: (value: unknown) => unknown,
): z.output<S> {
  const result = readYaml(text, schema, complete);
  if (result.kind === "good") return result.value;
  throw yamlRefusal(result.kind === "not yaml" ? errors.notYaml : errors.invalid, file, result.faults);
}

/** The same without an error. Faults come in the order of the file. */
export function readYaml<S extends z.ZodType>(
  text: string,
  schema: S,
  complete: (value: unknown) => unknown = (value) => value,
): YamlResult<z.output<S>> {
  const wide = encodingFault(text);
  if (wide !== undefined) return { kind: "not yaml", faults: [wide] };
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    return { kind: "not yaml", faults: conflicts(text) ?? inOrder(syntaxFaults(text, document, counter, schema)) };
  }
  if (document.contents === null && schema.safeParse({}).success === false) {
    return {
      kind: "invalid",
      faults: [{ line: 1, column: 1, message: "the file is empty; `cutover init` writes one" }],
    };
  }
  let input: unknown;
  try {
    input = complete(document.toJS({ maxAliasCount: 100 }) ?? {});
  } catch (error) {
    const lost = lostAliases(document, counter);
    // Otherwise an alias that grows without end.
    const faults = lost.length > 0 ? lost : [{ line: 1, column: 1, message: (error as Error).message }];
    return { kind: "not yaml", faults };
  }
  const at = (path: YamlPath) => position(counter, offsetOf(document, path));
  const checked = schema.safeParse(input, { reportInput: false });
  const lost = lostKeys(document, counter);
  if (checked.success && lost.length === 0) return { kind: "good", value: checked.data, at };
  const faults = checked.error === undefined ? [] : [...faultsOf(checked.error, input, schema)];
  faults.push(...hiddenFaults(faults, input, schema));
  const told = faults.map((fault) => ({ ...at(fault.path), message: worded(fault) + quotes(document, fault) }));
  return { kind: "invalid", faults: inOrder([...told, ...lost]) };
}

/** What Windows' older PowerShell writes. Read as UTF-8 it would be a text of odd characters, which is YAML. */
function encodingFault(text: string): YamlFault | undefined {
  if (!/^(?:\ufffd\ufffd|[\s\S]\0)/.test(text)) return undefined;
  return { line: 1, column: 1, message: "the file is UTF-16, most often of PowerShell's `>`; save it as UTF-8" };
}

/** In words for somebody who does not know the terms of YAML. */
function syntaxFaults(text: string, { errors }: Document, counter: LineCounter, schema: z.ZodType): YamlFault[] {
  const tabs = errors.filter(({ code }) => code === "TAB_AS_INDENT");
  // What a tab has moved to another place says nothing more.
  return (tabs.length > 0 ? tabs : errors).map(({ code, pos, message }) => {
    const rest = text.slice(pos[0]).split("\n", 1)[0]?.trim() ?? "";
    return { ...position(counter, pos[0]), message: inPlainWords(code, rest, allKeys(schema)) ?? message };
  });
}

/**
 * @param rest of the line, from the place of the fault on
 * @param keys that may stand anywhere in the file
 */
function inPlainWords(code: string, rest: string, keys: string[]): string | undefined {
  switch (code) {
    case "TAB_AS_INDENT":
      return "a line begins with a tab; indent it with spaces";
    case "DUPLICATE_KEY": {
      const key = rest.replace(/\s*:.*$/, "");
      return `${key} stands here a second time; put what belongs to it in one place`;
    }
    case "BLOCK_AS_IMPLICIT_KEY": {
      const key = /^([a-z_]+): /.exec(rest)?.[1];
      if (key !== undefined && keys.includes(key)) {
        return `two keys stand on one line: write ${key} on the next line, indented by two spaces more`;
      }
      if (/["']/.test(rest)) return "a value with a colon and a space in it must be in quotes";
      return `a value with a colon and a space in it must be in quotes: "${rest}"`;
    }
    default:
      return undefined;
  }
}

/** What a merge has left says more than the words of YAML for it. */
function conflicts(text: string): YamlFault[] | undefined {
  const line = text.split("\n").findIndex((each) => /^(?:<{7}|>{7}) /.test(each)) + 1;
  if (line === 0) return undefined;
  return [{ line, column: 1, message: "a merge conflict is left here; resolve it, commit and push" }];
}

/** A pattern such as *.pyc is an alias in YAML, and nothing has that name. */
function lostAliases(document: Document, counter: LineCounter): YamlFault[] {
  const lost: YamlFault[] = [];
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return;
      const name = `*${alias.source}`;
      const message = `${name} is an alias in YAML, and nothing has this name; write "${name}" in quotes`;
      lost.push({ ...position(counter, alias.range?.[0] ?? 0), message });
    },
  });
  return lost;
}

/** YAML reads 3.10 as the number 3.1, and yes-or-no words as booleans. */
function quotes(document: Document, { path, message }: Fault): string {
  if (!/^expected string\b.*received (?:number|boolean)$/.test(message)) return "";
  const node = document.getIn(path, true);
  return isScalar(node) && node.source !== undefined ? `; write "${node.source}" in quotes` : "";
}

/** A key that no JavaScript object keeps would be lost silently. */
function lostKeys(document: Document, counter: LineCounter): YamlFault[] {
  const lost: YamlFault[] = [];
  visit(document, {
    Pair(_, { key }) {
      if (!isScalar(key) || key.value !== "__proto__") return;
      lost.push({ ...position(counter, key.range?.[0] ?? 0), message: "__proto__: a name that cannot be used" });
    },
  });
  return lost;
}

export function yamlRefusal(code: ErrorCode, file: string, faults: YamlFault[]): CutoverError {
  const lines = faults.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  return new CutoverError(code, lines.join("\n"), {
    unchanged: "Nothing was changed.",
    fix: lines.length === 1 ? "Correct this line." : `Correct these ${lines.length} places.`,
  });
}

function worded({ path, message }: Fault): string {
  if (path.length > 0) return `${path.join(".")}: ${message}`;
  return message.startsWith("expected ") ? `the file must hold keys and their values: ${message}` : message;
}

function inOrder(faults: YamlFault[]): YamlFault[] {
  return faults.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** Placeholders for wrong values while pairs are checked: one of them fits nearly every key. */
const standIns = ["cutover-stand-in", "/cutover-stand-in/", "cutover_stand:in", 1, true, "1s", [], {}];

/**
 * If a mapping has a fault of its own, zod does not check pairs of its keys. So they are checked with placeholders in
 * the wrong places. A pair is not judged if a choice in the same mapping is open, or if it is about a placeholder.
 */
function hiddenFaults(known: Fault[], input: unknown, schema: z.ZodType): Fault[] {
  const places = known.filter(({ kind, path }) => kind !== "pair" && path.length > 0);
  if (places.length === 0) return [];
  const rest = structuredClone(input);
  let found: Fault[] = known;
  for (const standIn of standIns) {
    for (const { path, kind, example } of found) {
      if (kind === "key") put(rest, path, undefined);
      else if (kind !== "pair") put(rest, path, example ?? standIn);
    }
    const again = schema.safeParse(rest, { reportInput: false });
    found = again.success ? [] : faultsOf(again.error, rest, schema);
    if (found.every(({ kind }) => kind === "pair")) break;
  }
  return found.filter(
    (fault) =>
      fault.kind === "pair" &&
      !/cutover.stand/.test(fault.message) &&
      !known.some((one) => same(one, fault)) &&
      !places.some((place) => spoils(place, fault)),
  );
}

function same(a: Fault, b: Fault): boolean {
  return a.message === b.message && a.path.join("\0") === b.path.join("\0");
}

/** Whether a wrong value in the same mapping makes it impossible to judge a pair. */
function spoils({ path, kind }: Fault, pair: Fault): boolean {
  const key = String(path.at(-1));
  if (!path.slice(0, -1).every((part, index) => pair.path[index] === part)) return false;
  const quoted = [...pair.message.matchAll(/`([^`]*)`/g)].flatMap(([, text = ""]) => text.split(/\W+/));
  return kind === "choice" || pair.path.join("\0") === path.join("\0") || (kind !== "key" && quoted.includes(key));
}

/** Puts something in the place of a value; without anything to put there, removes the key. */
function put(value: unknown, path: YamlPath, what: unknown): void {
  const last = path.at(-1);
  let parent = value;
  for (const part of path.slice(0, -1)) {
    if (parent === null || typeof parent !== "object") return;
    parent = (parent as Record<string | number, unknown>)[part];
  }
  if (parent === null || typeof parent !== "object" || last === undefined) return;
  if (what === undefined) delete (parent as Record<string | number, unknown>)[last];
  else (parent as Record<string | number, unknown>)[last] = structuredClone(what);
}

/** The offset of a key (rather than of its value), or of the nearest parent that is there. */
function offsetOf(document: Document, path: YamlPath): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true) ?? document.contents;
    const last = path[length - 1];
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => (isScalar(key) ? key.value : key) === last);
      if (isScalar(pair?.key) && pair.key.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true);
    if (node !== null && typeof node === "object" && "range" in node && Array.isArray(node.range)) {
      return Number(node.range[0]);
    }
  }
  return 0;
}

function position(counter: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = counter.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
