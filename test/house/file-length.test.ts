import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** A file is one noun, and a reader sees it as a whole. */
const longest = 300;

/** Longer files, each with the reason why it is one noun all the same. */
const exceptions: Record<string, string> = {
  "test/hostile/agent-cases.ts": "one table: each request that the helper must refuse",
  "test/hostile/archives/manifests.ts": "one table: each manifest that must be refused",
  "test/simulation/action/simulated-host.ts": "one host as the Action sees it, with all that it can do wrong",
  "test/simulation/history.ts": "one generator: each operation of a history, and how it is chosen",
  "test/simulation/privileged.ts": "one simulated helper: each of its methods",
  "test/simulation/watcher.ts": "the invariants, which look at one state of the host",
};

function lines(file: string): number {
  return readFileSync(file, "utf8").split("\n").length - 1;
}

/** Also those that are not committed yet. */
const tracked = ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.mjs", "*.py", "*.sh"];
const files = execFileSync("git", tracked, { encoding: "utf8" })
  .split("\n")
  // What is built is not read, and what is deleted is listed until the commit.
  .filter((file) => file !== "" && !/(?:^|\/)dist\//.test(file) && existsSync(file));

test(`no file has more than ${longest} lines, except by name and for a reason`, () => {
  expect(files.length).toBeGreaterThan(300);
  const long = files.filter((file) => lines(file) > longest && !(file in exceptions));
  expect(long.map((file) => `${file}: ${lines(file)}`)).toEqual([]);
});

test("every exception is still needed", () => {
  expect(Object.keys(exceptions).filter((file) => !files.includes(file) || lines(file) <= longest)).toEqual([]);
});
