import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const page = readFileSync("SECURITY.md", "utf8");
const table = page.split("<!-- threats -->")[1]?.split("<!-- /threats -->")[0] ?? "";
const rows = table
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(2)
  .map((line) => line.split("|").map((cell) => cell.trim()));

/** `file: part of a title`, between backticks, in the last cell. */
const tests = rows.flatMap(([, attacker = "", , , cell = ""]) =>
  [...cell.matchAll(/`([^`:]+\.test\.ts): ([^`]+)`/g)].map(([, file = "", title = ""]) => [attacker, file, title]),
);

test("each threat names at least one test", () => {
  expect(rows.length).toBeGreaterThan(15);
  for (const [, attacker, , , cell = ""] of rows) expect(cell, attacker).toMatch(/`[^`]+\.test\.ts: [^`]+`/);
});

test.each(tests)("%s: %s has the test '%s'", (_attacker, file = "", title = "") => {
  expect(readFileSync(file, "utf8"), title).toContain(title);
});
