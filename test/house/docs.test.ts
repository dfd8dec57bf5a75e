import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { agentSettingsSchema, appSettingsSchema } from "../../agent/settings.ts";
import { configSchema } from "../../shared/config.ts";
import { errorCodes } from "../../shared/errors.ts";
import { brokenLines, refusedRequests } from "../hostile/agent-cases.ts";
import { type JsonSchema, leaves } from "./schema-leaves.ts";

const readme = readFileSync("README.md", "utf8");

/** First cells of a reference table in the README, and its whole rows. */
function table(name: string): Map<string, string> {
  const text = readme.split(`<!-- reference:${name} -->`)[1]?.split(`<!-- /reference:${name} -->`)[0] ?? "";
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  return new Map(rows.map((row) => [row.split("`")[1] ?? "", row]));
}

function keysOf(schema: z.ZodType): [string, JsonSchema][] {
  return leaves(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema);
}

test("the README lists every key of cutover.yml, and no other", () => {
  expect([...table("config").keys()]).toEqual(keysOf(configSchema).map(([key]) => key));
});

test("the README gives the defaults of cutover.yml", () => {
  for (const [key, { default: value }] of keysOf(configSchema)) {
    if (value === undefined || typeof value === "object") continue;
    expect(table("config").get(key), key).toContain(`| \`${value}\` |`);
  }
});

test("the README lists every input of action.yml with its default", () => {
  const { inputs } = parse(readFileSync("action.yml", "utf8"));
  expect([...table("inputs").keys()]).toEqual(Object.keys(inputs));
  for (const [name, { default: value }] of Object.entries<{ default: string }>(inputs)) {
    if (value !== "") expect(table("inputs").get(name), name).toContain(`\`${value}\``);
  }
});

test("every input and output of action.yml is described", () => {
  const action = parse(readFileSync("action.yml", "utf8"));
  for (const [name, { description }] of Object.entries<{ description?: string }>({
    ...action.inputs,
    ...action.outputs,
  })) {
    expect(description, name).toMatch(/\.$/);
  }
});

test("the README lists every error code with its sentence", () => {
  const rows = [...table("errors").values()];
  expect(rows).toEqual(Object.entries(errorCodes).map(([code, sentence]) => `| \`${code}\` | ${sentence} |`));
});

test.each([
  ["agent.yml", agentSettingsSchema],
  ["apps/<app>.yml", appSettingsSchema],
] as const)("the README names every key of %s", (_file, schema) => {
  const text = readme.split("### The host's files")[1]?.split("### Errors")[0] ?? "";
  for (const [key] of keysOf(schema)) expect(text).toContain(`\`${key.replace(/^.*\[\]\./, "").replace(/\[\]$/, "")}`);
});

test("the README says how many requests of a hostile agent are tried", () => {
  const rows = [...table("hostile-agent").values()].map((row) => Number(/\| (\d+) \|$/.exec(row)?.[1]));
  expect(rows).toEqual([refusedRequests.length, brokenLines.length]);
  const names = [
    ...refusedRequests.map(({ name, method }) => `${name} (${method})`),
    ...brokenLines.map(({ name }) => name),
  ];
  expect(new Set(names).size).toBe(names.length);
});
