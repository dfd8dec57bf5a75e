import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** A file is one noun, and a reader sees it as a whole. */
const longest = 300;

/** Longer files, each with the reason why it is one noun all the same. */
const exceptions: Record<string, string> = {
  "test/hostile/agent-cases.ts": "one table: each request that a compromised agent may send to the helper",
  "test/hostile/archives/manifests.ts": "one table: each manifest that must be refused",
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
