import { closest } from "fastest-levenshtein";
import { type Document, isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { CutoverError, type ErrorCode } from "./errors.ts";

export interface YamlFault {
  line: number;
  column: number;
  message: string;
}

export interface YamlErrors {
  notYaml: ErrorCode;
  invalid: ErrorCode;
}

/**
 * Parses a settings file and checks it; all that is wrong with it is told together, each fault with line and column.
 * @param change puts in what a file may leave out
 * @throws CutoverError with `errors.notYaml` or `errors.invalid`; its message has one `file:line:column: ...` a line
 */
export function parseYamlFile<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
  errors: YamlErrors,
  change: (value: unknown) => unknown = (value) => value,
): z.output<S> {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true });
  const syntax = document.errors.map(({ pos, message }) => ({ ...position(counter, pos[0]), message }));
  if (syntax.length > 0) throw refusal(errors.notYaml, file, syntax);
  const result = schema.safeParse(change(document.toJS({ maxAliasCount: 100 }) ?? {}), { reportInput: false });
  if (result.success) return result.data;
  throw refusal(
    errors.invalid,
    file,
    result.error.issues.flatMap((issue) => locate(issue, document, counter, schema)),
  );
}

function refusal(code: ErrorCode, file: string, faults: YamlFault[]): CutoverError {
  const lines = faults
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  return new CutoverError(code, lines.join("\n"), {
    unchanged: "Nothing was changed.",
    fix: lines.length === 1 ? "Correct this line." : `Correct these ${lines.length} places.`,
  });
}

function locate(issue: z.core.$ZodIssue, document: Document, counter: LineCounter, schema: z.ZodType): YamlFault[] {
  const path = issue.path.filter((part) => typeof part !== "symbol");
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => ({
      ...position(counter, offsetOf(document, [...path, key])),
      message: `${[...path, key].join(".")}: unknown key${suggestion(key, known)}`,
    }));
  }
  const where = path.length === 0 ? "" : `${path.join(".")}: `;
  const missing = issue.code === "invalid_type" && !document.hasIn(path);
  const message = missing ? "is required and missing" : plainMessage(issue);
  return [{ ...position(counter, offsetOf(document, path)), message: `${where}${message}` }];
}

function plainMessage(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_format" && issue.format === "regex" && issue.message.startsWith("Invalid string")) {
    return `must match ${issue.pattern ?? "the allowed form"}`;
  }
  if (issue.code === "invalid_union") {
    const messages = issue.errors.flat().map((inner) => inner.message.replace(/^Invalid input: /, ""));
    return [...new Set(messages)].join(", or ") || issue.message;
  }
  return issue.message.replace(/^Invalid (?:input|option): /, "");
}

/** The offset of a key (rather than of its value), or of the nearest parent that is there. */
function offsetOf(document: Document, path: (string | number)[]): number {
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

function suggestion(key: string, known: string[]): string {
  if (known.length === 0) return "";
  const nearest = closest(key, known);
  return `; allowed here: ${known.join(", ")}. Did you mean ${nearest}?`;
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
}

function knownKeys(schema: z.ZodType, path: (string | number)[]): string[] {
  let node: JsonSchema | undefined = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
  for (const part of path) node = typeof part === "number" ? node?.items : node?.properties?.[part];
  return Object.keys(node?.properties ?? {});
}
