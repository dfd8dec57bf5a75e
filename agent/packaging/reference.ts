import { parse } from "yaml";
import { z } from "zod";
import { configSchema } from "../../shared/config.ts";
import { errorCodes } from "../../shared/errors.ts";
import { type Key, keysOf, sectionOf } from "../../shared/schema-keys.ts";
import { agentSettingsSchema, appSettingsSchema } from "../settings.ts";

/** A table of the docs whose words stand in the code: between `<!-- reference:name -->` and its end in one file. */
export interface Reference {
  name: string;
  file: string;
  head: string[];
  rows: string[][];
}

const keyHead = ["key", "default", "what"];

/** @param actionYml the text of action.yml, which describes its inputs and outputs itself */
export function references(actionYml: string): Reference[] {
  const { inputs, outputs } = actionFile.parse(parse(actionYml));
  return [
    {
      name: "inputs",
      file: "action/README.md",
      head: ["input", "default", "what"],
      rows: Object.entries(inputs).map(([name, { description, default: value }]) => [
        code(name),
        value === "" ? "" : code(value),
        description,
      ]),
    },
    {
      name: "outputs",
      file: "action/README.md",
      head: ["output", "what"],
      rows: Object.entries(outputs).map(([name, { description }]) => [code(name), description]),
    },
    { name: "config", file: "shared/README.md", head: keyHead, rows: keyRows(keysOf(configSchema)) },
    {
      name: "errors",
      file: "shared/README.md",
      head: ["code", "what"],
      rows: Object.entries(errorCodes).map(([name, sentence]) => [code(name), sentence]),
    },
    { name: "agent.yml", file: "agent/README.md", head: keyHead, rows: keyRows(agentKeys()) },
    { name: "apps.yml", file: "agent/README.md", head: keyHead, rows: keyRows(appKeys()) },
    {
      name: "trust",
      file: "agent/README.md",
      head: keyHead,
      rows: keyRows(within(keysOf(appSettingsSchema), "trust[].")),
    },
    {
      name: "webhooks",
      file: "agent/observe/README.md",
      head: keyHead,
      rows: keyRows(within(keysOf(agentSettingsSchema), "webhooks[].")),
    },
  ];
}

/** The keys of a list that has a table of its own are one row. */
function agentKeys(): Key[] {
  return folded(keysOf(agentSettingsSchema), sectionOf(agentSettingsSchema, "webhooks"));
}

function appKeys(): Key[] {
  const keys = folded(keysOf(appSettingsSchema), sectionOf(appSettingsSchema, "webhooks"));
  return folded(keys, sectionOf(appSettingsSchema, "trust"));
}

function folded(keys: Key[], section: Key): Key[] {
  const prefix = `${section.path}[].`;
  const first = keys.findIndex(({ path }) => path.startsWith(prefix));
  return keys.flatMap((key, index) => (index === first ? [section] : key.path.startsWith(prefix) ? [] : [key]));
}

function within(keys: Key[], prefix: string): Key[] {
  return keys.flatMap((key) => (key.path.startsWith(prefix) ? [{ ...key, path: key.path.slice(prefix.length) }] : []));
}

const described = z.object({ description: z.string() });
const actionFile = z.object({
  inputs: z.record(z.string(), described.extend({ default: z.string() })),
  outputs: z.record(z.string(), described),
});

function keyRows(keys: Key[]): string[][] {
  return keys.map((key) => [code(key.path), key.default, key.description]);
}

function code(text: string): string {
  return `\`${text}\``;
}

/** A page with its tables as the code gives them. @throws Error if the page has no place for one of them */
export function withReferences(page: string, tables: Reference[]): string {
  return tables.reduce((text, { name, head, rows }) => {
    const [begin, end] = [`<!-- reference:${name} -->\n`, `<!-- /reference:${name} -->`];
    const [before, rest] = split(text, begin);
    const [, after] = split(rest, end);
    return `${before}${begin}${renderTable(head, rows)}${end}${after}`;
  }, page);
}

function split(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  if (index < 0) throw new Error(`the page has no line ${at.trim()}`);
  return [text.slice(0, index), text.slice(index + at.length)];
}

function renderTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `|${cells.map((cell) => (cell === "" ? " " : ` ${escaped(cell)} `)).join("|")}|\n`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("");
}

function escaped(cell: string): string {
  return cell.replaceAll("|", "\\|");
}
