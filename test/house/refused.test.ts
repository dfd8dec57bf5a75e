import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { githubMutations, refMutations } from "../agent/http/auth/github-mutations.ts";
import { keyMutations, mutations } from "../agent/http/auth/mutations.ts";

/** How many were tried with tokens of a key and of GitHub. */
const tried = {
  key: mutations.length + keyMutations.length,
  github: mutations.length + githubMutations.length + refMutations.length,
};

const page = readFileSync("test/README.md", "utf8");

/** Tests of a file by their own names. */
function named(file: string): number {
  return readFileSync(file, "utf8").match(/^ {2}test\("/gm)?.length ?? 0;
}

test.each([
  ["tokens that a key signed", `${tried.key} tried and refused`],
  ["tokens that GitHub signed", `${tried.github} tried and refused`],
  ["used tokens", `${named("test/agent/http/auth/replays.test.ts")} forms of replay, of both kinds`],
])("test/README.md says how many %s are tried", (what, count) => {
  expect(page).toContain(`| ${what} | ${count} |`);
});

test("of each kind of token more than 60 mutations are tried, each with a name of its own", () => {
  const names = [...mutations, ...keyMutations, ...githubMutations, ...refMutations].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(Math.min(tried.key, tried.github)).toBeGreaterThan(60);
});
