import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

const names = Object.keys(packageJson.dependencies);

test("SECURITY.md gives a reason for each runtime dependency, and for no other", () => {
  const page = readFileSync("SECURITY.md", "utf8");
  const table = page.split("<!-- reference:dependencies -->")[1]?.split("<!-- /reference:dependencies -->")[0] ?? "";
  const rows = [...table.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm)].map(([, name, reason]) => [name, reason] as const);
  expect(rows.map(([name]) => name)).toEqual(names);
  for (const [name, reason = ""] of rows) expect(reason.length, name).toBeGreaterThan(20);
});

test.each(Object.entries(packageJson.dependencies))("%s has an exact version: %s", (_, version) => {
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test.each(names)("%s is imported by what runs", (name) => {
  const sources = ["action", "agent", "shared"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
  );
  const importing = sources
    .filter((file) => file.endsWith(".ts"))
    .filter((file) => new RegExp(`(?:from |import\\()"${name}(?:/[^"]*)?"`).test(readFileSync(file, "utf8")));
  expect(importing.length).toBeGreaterThan(0);
});
