import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { archives } from "../hostile/archives/index.ts";
import { thin } from "../hostile/archives/thin.ts";

const page = readFileSync("test/README.md", "utf8");

test("test/README.md says how many archives are tried and refused", () => {
  const count = [...Object.values(archives), thin].flat().length;
  expect(page).toContain(`| archives | ${count} tried and refused |`);
  expect(count).toBeGreaterThanOrEqual(80);
});
