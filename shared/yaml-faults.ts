import { closest, distance } from "fastest-levenshtein";
import { z } from "zod";

/** A place in a settings file, as keys and list indexes. */
export type YamlPath = (string | number)[];

/** What is wrong, at which key. */
export interface Fault {
  path: YamlPath;
  message: string;
  /** What kind of fault: only `pair` is about several keys together. */
  kind: "key" | "value" | "choice" | "pair";
  /** One of the words that a choice is among. */
  example?: string;
}

type Issue = z.core.$ZodIssue;

/** Every fault that zod found in a value. Of a union, only the branch counts that the value was meant for. */
export function faultsOf(error: z.ZodError, input: unknown, schema: z.ZodType): Fault[] {
  return error.issues.flatMap((issue) => faultsOfIssue(issue, [], input, schema));
}

function faultsOfIssue(issue: Issue, parent: YamlPath, input: unknown, schema: z.ZodType): Fault[] {
  const path = [...parent, ...issue.path.filter((part) => typeof part !== "symbol")];
  const value = valueAt(input, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey([...path, key], knownKeys(schema, path)));
    case "invalid_key": {
      const name = String(path.at(-1));
      const reasons = issue.issues.map(({ message }) => message).join(", ");
      return [{ path, kind: "key", message: `${JSON.stringify(name)} is no name for it; allowed: ${reasons}` }];
    }
    case "invalid_union": {
      if (value === undefined) return [missing(path, issue)];
      const branch = meantBranch(issue.errors);
      if (branch !== undefined) return branch.flatMap((inner) => faultsOfIssue(inner, path, input, schema));
      return [alternatives(path, issue.errors.flat(), value)];
    }
    case "invalid_type":
    case "invalid_value":
      if (value === undefined) return [missing(path, issue)];
      return [structural(alternatives(path, [issue], value), value, () => knownKeys(schema, path))];
    case "custom":
      return [{ path, kind: "pair", message: issue.message }];
    default:
      return [{ path, kind: "value", message: plainMessage(issue) }];
  }
}

/**
 * The branch whose type the mapping or list has; of several, the one whose faults lie deepest, then the one with the
 * fewest faults.
 */
function meantBranch(branches: Issue[][]): Issue[] | undefined {
  const entered = branches.filter((issues) => issues.every(({ path, code }) => path.length > 0 || inside.has(code)));
  const depth = (issues: Issue[]) => Math.max(...issues.map(({ path }) => path.length));
  return entered.toSorted((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
}

/** Faults that show that a mapping was meant for this branch. */
const inside = new Set<Issue["code"]>(["unrecognized_keys", "custom"]);

/** A scalar that is not allowed: names everything that is allowed, and the nearest word. */
function alternatives(path: YamlPath, issues: Issue[], value: unknown): Fault {
  const words = issues.flatMap((issue) => (issue.code === "invalid_value" ? issue.values.map(String) : []));
  // If one branch has the value's type, the other branches have nothing to add.
  const others = issues.filter(({ code }) => code !== "invalid_value");
  const typed = others.filter(({ code }) => code !== "invalid_type");
  const said = (typed.length > 0 ? typed : others).map(plainMessage);
  const choice = words.length === 0 ? [] : [words.length === 1 ? `${words[0]}` : `one of ${words.join(", ")}`];
  if (words.length === 0) return { path, kind: "value", message: merged(said) };
  const what = typeof value === "string" && value.length <= 60 ? `${JSON.stringify(value)} is not allowed; ` : "";
  const message = `${what}allowed here: ${[...choice, ...said.map((text) => text.replace(/^expected (.+), received .+$/, "$1"))].join(", or ")}`;
  const near = typeof value === "string" ? nearest(value, words) : "";
  return { path, kind: "choice", message: `${message}${near}`, example: words[0] ?? "" };
}

const received: Record<string, string> = {
  string: "is a text",
  number: "is a number",
  boolean: "is yes or no",
  nothing: "is empty",
  array: "is a list",
  object: "has keys of its own",
};

/** A list, a mapping or a text in the place of one of the others, in words that show how it is written. */
function structural(fault: Fault, value: unknown, keys: () => string[]): Fault {
  const [, wanted, got = ""] = /^expected (object|record|array), received (\w+)$/.exec(fault.message) ?? [];
  const is = received[got];
  if (wanted === undefined || is === undefined || fault.path.length === 0) return fault;
  return { ...fault, message: `${is}, and must be ${mustBe(wanted, value, keys)}` };
}

function mustBe(wanted: string, value: unknown, keys: () => string[]): string {
  if (wanted === "object") {
    const known = keys();
    return `keys with values, each on a line below it${known.length === 0 ? "" : `: ${known.join(", ")}`}`;
  }
  if (wanted === "record") return "names with values, each on a line below it: `NAME: value`, without a dash";
  if (typeof value === "object" && value !== null) return "a list: begin each entry with `- `";
  return typeof value === "string" && /^[\w./*-]{1,60}$/.test(value) ? `a list: [${value}]` : "a list: [first, second]";
}

/** `expected string, received number` and `expected array, received number` in one. */
function merged(messages: string[]): string {
  const types = messages.map((message) => /^expected (.+), received (.+)$/.exec(message));
  const received = types[0]?.[2];
  // A message that we wrote says more than the names of types.
  const own = messages.filter((_, index) => types[index] === null);
  if (own.length > 0 && own.length < messages.length) return merged(own);
  if (types.length < 2 || types.some((type) => type === null)) return [...new Set(messages)].join(", or ");
  return `expected ${types.map((type) => type?.[1]).join(" or ")}, received ${received}`;
}

function missing(path: YamlPath, issue: Issue): Fault {
  const message = "is required and missing";
  if (issue.code !== "invalid_value") return { path, kind: "value", message };
  const words = issue.values.map(String);
  return { path, kind: "choice", message: `${message}; one of ${words.join(", ")}`, example: words[0] ?? "" };
}

const timetable =
  "Nothing here runs by a timetable: let a process do it (such as `celery beat`), or a timer of the host with `cutover exec`";
const certificates =
  "TLS is on for an address of `site.listen` such as `443 ssl`; the certificate is the host's: `tls` in the app's settings file there";
const noContainers = "There are no containers: what starts the app is `server`, and its files are the repository's";

/** Words that people know from other tools, and where cutover has what they mean. */
const elsewhere: Record<string, string> = {
  ...{ schedule: timetable, cron: timetable, crontab: timetable },
  ...{ tls: certificates, ssl: certificates, certificate: certificates, ssl_certificate: certificates },
  ...{ image: noContainers, dockerfile: noContainers, build: noContainers, volumes: noContainers },
};

function unknownKey(path: YamlPath, known: string[]): Fault {
  const allowed = known.length === 0 ? "" : `; allowed here: ${known.join(", ")}`;
  const name = String(path.at(-1));
  const said = known.includes(name) ? undefined : elsewhere[name];
  return {
    path,
    kind: "key",
    message: `unknown key${allowed}${said === undefined ? nearest(name, known) : `. ${said}`}`,
  };
}

/** Empty if nothing is near enough to be a typing error. */
export function nearest(word: string, known: string[]): string {
  if (known.length === 0) return "";
  const lower = known.map((each) => each.toLowerCase());
  const found = closest(word.toLowerCase(), lower);
  const near = distance(word.toLowerCase(), found) <= Math.max(2, Math.ceil(found.length / 3));
  return near ? `. Did you mean ${known[lower.indexOf(found)]}?` : "";
}

function plainMessage(issue: Issue): string {
  if (issue.code === "invalid_format" && issue.format === "regex" && issue.message.startsWith("Invalid string")) {
    return `must match ${issue.pattern ?? "the allowed form"}`;
  }
  const text = issue.message.replace(/^Invalid (?:input|option): /, "");
  return text
    .replace(/^Too (?:small|big): expected (?:number|string|array|object) to (?:be|have) /, "must be ")
    .replace(/^must be >=/, "must be at least ")
    .replace(/^must be <=/, "must be at most ")
    .replace(/received null$/, "received nothing");
}

function valueAt(input: unknown, path: YamlPath): unknown {
  let value = input;
  for (const part of path) {
    if (value === null || typeof value !== "object") return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

function knownKeys(schema: z.ZodType, path: YamlPath): string[] {
  let nodes = opened(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema);
  for (const part of path) nodes = nodes.flatMap((node) => opened(child(node, part)));
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))];
}

/** The name of every key that a schema knows, at any depth. */
export function allKeys(schema: z.ZodType): string[] {
  const below = (node: JsonSchema): string[] =>
    opened(node).flatMap(({ properties = {}, items, additionalProperties: others }) => [
      ...Object.keys(properties),
      ...[...Object.values(properties), items, typeof others === "object" ? others : undefined].flatMap((each) =>
        each === undefined ? [] : below(each),
      ),
    ]);
  return below(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema);
}

function child(node: JsonSchema, part: string | number): JsonSchema | undefined {
  if (typeof part === "number") return node.items;
  const { properties, additionalProperties: others } = node;
  return properties?.[part] ?? (typeof others === "object" ? others : undefined);
}

function opened(node: JsonSchema | undefined): JsonSchema[] {
  if (node === undefined) return [];
  return node.anyOf === undefined ? [node] : node.anyOf.flatMap(opened);
}
