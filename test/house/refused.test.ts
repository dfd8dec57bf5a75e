import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tried } from "../agent/http/auth/mutations.ts";

const readme = readFileSync("README.md", "utf8");
const table = readme.split("<!-- reference:refused -->")[1]?.split("<!-- /reference:refused -->")[0] ?? "";

/** Tests of a file by their own names; those of a table count once for each of its rows elsewhere. */
function named(file: string): number {
  return readFileSync(file, "utf8").match(/^ {2}test\("/gm)?.length ?? 0;
}

test.each([
  ["mutations of a good token that a key signed", tried.key],
  ["mutations of a good token that GitHub signed", tried.github],
  ["forms of replaying a used token, with each of the two", named("test/agent/http/auth/replays.test.ts")],
])("the README says how many %s were tried", (what, count) => {
  expect(count).toBeGreaterThan(10);
  expect(table).toContain(`| ${what} | ${count} of ${count} |`);
});

test("more than 60 mutations of each kind of token are tried, each of a name of its own", async () => {
  const { githubMutations, keyMutations, mutations, refMutations } = await import("../agent/http/auth/mutations.ts");
  const names = [...mutations, ...keyMutations, ...githubMutations, ...refMutations].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(Math.min(tried.key, tried.github)).toBeGreaterThanOrEqual(60);
});
