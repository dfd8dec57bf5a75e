import type { Command } from "commander";
import type { z } from "zod";
import { keysOf, withoutLinks } from "../../shared/schema-keys.ts";

/** A man page made from a command's own help, so that the two cannot differ. */
export function renderManPage(program: Command, { section, version }: { section: number; version: string }): string {
  const name = program.name();
  const lines = [
    `.TH ${name.toUpperCase()} ${section} "" "cutover ${version}" "cutover"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(lowerFirst(program.description()))}`,
    ".SH SYNOPSIS",
    `.B ${roff(name)}`,
    roff(program.usage()),
    ...optionsOf(program, ".SH OPTIONS"),
    ...(program.commands.length === 0
      ? []
      : [".SH COMMANDS", ...program.commands.flatMap((each) => command(each, name))]),
  ];
  return `${lines.join("\n")}\n`;
}

export interface SettingsPage {
  /** As `man` finds it: `cutover.yml`. */
  name: string;
  path: string;
  summary: string;
  schema: z.ZodType;
  version: string;
}

/** A page of the manual out of a settings file's definition: each key with its default and what it is. */
export function renderSettingsPage({ name, path, summary, schema, version }: SettingsPage): string {
  const keys = keysOf(schema).flatMap((key) => [
    ".TP",
    `.B ${roff(key.path)}`,
    roff(plainText(key.default === "" ? key.description : `${key.description} (${label(key.default)})`)),
  ]);
  const lines = [
    `.TH ${roff(name.toUpperCase())} 5 "" "cutover ${version}" "cutover"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(summary)}`,
    ".SH SYNOPSIS",
    `.I ${roff(path)}`,
    ".SH KEYS",
    ...keys,
    ".SH SEE ALSO",
    ".BR cutover (8),",
    ".BR cutover\\-agent (8)",
  ];
  return `${lines.join("\n")}\n`;
}

function label(text: string): string {
  return text.startsWith("required") ? text : `default: ${text}`;
}

function plainText(markdown: string): string {
  return withoutLinks(markdown).replaceAll("`", "");
}

function command(each: Command, prefix: string): string[] {
  const name = `${prefix} ${each.name()}`;
  if (each.commands.length > 0) return each.commands.flatMap((child) => command(child, name));
  const own = each.options.filter(({ long }) => !everywhere.includes(long ?? ""));
  const words = each.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [
    ".TP",
    `.B ${roff(`${name} ${words.join(" ")}`.trim())}`,
    `${roff(each.description())}.`,
    ...own.flatMap(({ flags, description }) => [".RS", ".TP", `.B ${roff(flags)}`, roff(description), ".RE"]),
  ];
}

/** Options of every command; the page has them once, under OPTIONS. */
const everywhere = ["--json", "--socket", "--config", "--embedded"];

function optionsOf(program: Command, heading: string): string[] {
  const { options } = program;
  if (options.length === 0) return [];
  return [heading, ...options.flatMap(({ flags, description }) => [".TP", `.B ${roff(flags)}`, roff(description)])];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "");
}

/** Escapes a text for troff: no escapes, no request at the start of a line, hyphens that can be copied. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}
