import { expect, test } from "vitest";
import { renderSettingsPage } from "../../../agent/packaging/man.ts";
import { agentSettingsSchema, appSettingsSchema } from "../../../agent/settings.ts";
import { configSchema } from "../../../shared/config.ts";
import { keysOf } from "../../../shared/schema-keys.ts";

test.each([
  ["cutover.yml", configSchema],
  ["cutover-agent.yml", agentSettingsSchema],
  ["cutover-app.yml", appSettingsSchema],
])("the page of %s has each key with what it is, as plain text", (name, schema) => {
  const page = renderSettingsPage({ name, path: name, summary: "a summary", schema, version: "1.2.3" });
  for (const { path } of keysOf(schema)) expect(page).toContain(`.TP\n.B ${path.replaceAll("-", "\\-")}\n`);
  expect(page).not.toMatch(/`|\]\(/);
});

test("a page says the default, or that a key is required", () => {
  const page = renderSettingsPage({
    name: "cutover.yml",
    path: "cutover.yml",
    summary: "how cutover deploys an app",
    schema: configSchema,
    version: "1.2.3",
  });
  expect(page).toContain(".B keep_warm\nHow long the old instances stay up");
  expect(page).toContain("(default: 60s)");
  expect(page).toContain("(required in release)");
  expect(
    page.split("\n").filter((line) => line.startsWith(".") && !/^\.(?:TH|SH|TP|B|BR|I) /.test(`${line} `)),
  ).toEqual([]);
});
