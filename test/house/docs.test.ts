import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { generatedDocs } from "../../agent/packaging/docs.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../agent/settings.ts";
import type { Call } from "../../shared/call.ts";
import { configSchema } from "../../shared/config.ts";
import { errorCodes } from "../../shared/errors.ts";
import { calls } from "../../shared/protocol.ts";
import { jsonSchemaOf, leaves } from "../../shared/schema-keys.ts";
import { brokenLines, refusedRequests } from "../hostile/agent-cases.ts";

/** First cells of a reference table, and its whole rows. */
function table(file: string, name: string): Map<string, string> {
  const page = readFileSync(file, "utf8");
  const text = page.split(`<!-- reference:${name} -->`)[1]?.split(`<!-- /reference:${name} -->`)[0] ?? "";
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  return new Map(rows.map((row) => [row.split("`")[1] ?? "", row]));
}

test.each([...generatedDocs()])("%s is what the code gives", (file, text) => {
  expect(readFileSync(file, "utf8") === text, "run `npm run build:docs` and commit it").toBe(true);
});

describe("shared/README.md", () => {
  const keys = leaves(jsonSchemaOf(configSchema));
  const rows = table("shared/README.md", "config");

  test("lists every key of cutover.yml, and no other", () => {
    expect([...rows.keys()]).toEqual(keys.map(([key]) => key));
  });

  test("gives the defaults of cutover.yml", () => {
    for (const [key, { default: value }] of keys) {
      if (value === undefined || typeof value === "object") continue;
      expect(rows.get(key), key).toContain(`| \`${value}\` |`);
    }
  });

  test("lists every error code with its sentence", () => {
    const errors = [...table("shared/README.md", "errors").values()];
    expect(errors).toEqual(Object.entries(errorCodes).map(([code, sentence]) => `| \`${code}\` | ${sentence} |`));
  });
});

describe("action/README.md", () => {
  const { inputs, outputs } = parse(readFileSync("action.yml", "utf8"));

  test("lists every input of action.yml with its default", () => {
    const rows = table("action/README.md", "inputs");
    expect([...rows.keys()]).toEqual(Object.keys(inputs));
    for (const [name, { default: value }] of Object.entries<{ default: string }>(inputs)) {
      if (value !== "") expect(rows.get(name), name).toContain(`\`${value}\``);
    }
  });

  test("lists every output", () => {
    expect([...table("action/README.md", "outputs").keys()]).toEqual(Object.keys(outputs));
  });

  test("every input and output of action.yml is described", () => {
    for (const [name, { description }] of Object.entries<{ description?: string }>({ ...inputs, ...outputs })) {
      expect(description, name).toMatch(/\.$/);
    }
  });
});

const webhooks = { prefix: "webhooks[].", file: "agent/observe/README.md", name: "webhooks" };

test.each([
  ["agent.yml", agentSettingsSchema, [webhooks]],
  ["apps.yml", appSettingsSchema, [webhooks, { prefix: "trust[].", file: "agent/README.md", name: "trust" }]],
] as const)("every key of %s, and no other, stands in its table", (name, schema, lists) => {
  const listed = [...table("agent/README.md", name).keys()].flatMap((key) => {
    const list = lists.find(({ prefix }) => prefix === `${key}[].`);
    return list === undefined ? [key] : [...table(list.file, list.name).keys()].map((inner) => list.prefix + inner);
  });
  expect(listed).toEqual(leaves(jsonSchemaOf(schema)).map(([key]) => key));
});

test("test/README.md says how many requests of a compromised agent are tried", () => {
  const rows = [...table("test/README.md", "hostile-agent").values()].map((row) =>
    Number(/\| (\d+) \|$/.exec(row)?.[1]),
  );
  expect(rows).toEqual([refusedRequests.length, brokenLines.length]);
  const names = [
    ...refusedRequests.map(({ name, method }) => `${name} (${method})`),
    ...brokenLines.map(({ name }) => name),
  ];
  expect(new Set(names).size).toBe(names.length);
});

test("agent/observe/README.md lists every metric, and no other", () => {
  const page = readFileSync("agent/observe/README.md", "utf8");
  const listed = [...page.matchAll(/^\| (`cutover_[^|]+) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(cutover_[a-z_]+)`/g)].map(([, name = ""]) => name),
  );
  const sources = ["metrics", "app-gauges", "request-metrics"].map((name) => `agent/observe/${name}.ts`);
  const source = sources.map((file) => readFileSync(file, "utf8")).join("");
  const rendered = [...source.matchAll(/"(cutover_[a-z_]+)"/g)].map(([, name = ""]) => name);
  expect(rendered.length).toBeGreaterThan(20);
  expect(new Set(listed)).toEqual(new Set(rendered));
});

test("both first pages have the same commands and files", () => {
  const blocks = (file: string) =>
    [...readFileSync(file, "utf8").matchAll(/^```(sh|yaml)\n(.*?)^```$/gms)].map(([, language, text = ""]) =>
      language === "yaml" ? parse(text) : text.replaceAll(/ *# .*$/gm, ""),
    );
  expect(blocks("README.md").length).toBeGreaterThan(4);
  expect(blocks("README.zh-CN.md")).toEqual(blocks("README.md"));
});

test("agent/http/README.md lists every call with what it takes, and no other", () => {
  const page = readFileSync("agent/http/README.md", "utf8").split("## The calls")[1] ?? "";
  const listed = [...page.matchAll(/^\| (`[A-Z]+ \/[^|]*) \|/gm)].map(([, cell = ""]) => {
    const [call = "", ...takes] = [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
    return [call, ...takes.map((word) => word.replace(/=.*/, ""))];
  });
  const spoken = Object.values<Call>(calls).map(({ method, path, query, body }) => [
    `${method} ${path}`,
    ...Object.keys(query?.shape ?? {}).map((name) => `?${name}`),
    ...(body === undefined || body === "bundle" ? [] : Object.keys(body.shape).map((name) => `{"${name}"}`)),
  ]);
  expect(listed.toSorted()).toEqual(spoken.toSorted());
});
