import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestHost } from "../support.ts";

let host: TestHost;
beforeEach(async () => {
  host = await TestHost.make();
});
afterEach(() => host.close());

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const { out } = await host.run(["completion", "bash"]);
  const list = words.map((word) => `'${word}'`).join(" ");
  const script = `${out}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _cutover; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim().split("\n");
}

describe("completion, made from the commands", () => {
  test("in bash offers commands, their subcommands and their options", async () => {
    expect(await offered("cutover", "re")).toEqual(["releases", "redeploy", "repair"]);
    expect(await offered("cutover", "app", "")).toEqual(expect.arrayContaining(["add", "list", "show", "remove"]));
    expect(await offered("cutover", "logs", "shop", "--fo")).toEqual(["--follow"]);
    expect(await offered("cutover", "--json", "env", "l")).toEqual(["list"]);
  });

  test.each(["zsh", "fish"])("has a script for %s with the same words", async (shell) => {
    const { exit, out } = await host.run(["completion", shell]);
    expect(exit).toBe(0);
    for (const word of ["maintenance", " app add", "--follow", "completion"]) expect(out).toContain(word);
  });

  test("knows no other shell", async () => {
    const { exit, err } = await host.run(["completion", "tcsh"]);
    expect(exit).toBe(2);
    expect(err).toContain("bash, zsh, fish");
  });
});

test("the help lists the commands in groups", async () => {
  const { out } = await host.run(["--help"]);
  const headings = out.split("\n").filter((line) => /^[A-Z][a-z ]+:$/.test(line));
  expect(headings).toEqual([
    "Options:",
    "See what runs:",
    "Move the traffic:",
    "Keep releases well:",
    "Apps and their secrets:",
    "Set up a project or a host:",
    "Commands:",
    "Example:",
  ]);
});
