import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

function git(directory: string, ...args: string[]): string {
  return execFileSync("git", args, { encoding: "utf8", cwd: directory });
}

/**
 * A link that is committed leads nowhere in somebody else's clone. If it has the name of a directory that git ignores, a
 * checkout replaces that directory, with all that is in it, by the link.
 */
test("no symbolic link is committed", () => {
  const links = git(".", "ls-files", "--stage")
    .split("\n")
    .filter((line) => line.startsWith("120000 "));
  expect(links.map((line) => line.split("\t")[1])).toEqual([]);
});

/** A second worktree links to the first one's directories. A pattern with a slash at its end does not match a link. */
test("git ignores node_modules and test/.cache also where they are links", () => {
  const repository = mkdtempSync(join(tmpdir(), "cutover-ignore-"));
  onTestFinished(() => rmSync(repository, { recursive: true }));
  git(repository, "init", "--quiet");
  copyFileSync(".gitignore", join(repository, ".gitignore"));
  mkdirSync(join(repository, "test"));
  symlinkSync("/nonexistent", join(repository, "node_modules"));
  symlinkSync("/nonexistent", join(repository, "test/.cache"));
  expect(git(repository, "status", "--porcelain", "--untracked-files=all")).toBe("?? .gitignore\n");
});
