import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TestHost } from "../support.ts";

class Directory {
  readonly path = mkdtempSync(join(tmpdir(), "completion-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

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

/** A zsh at a terminal of its own, in which somebody types and presses the tab key. */
function typing(setup: string, typed: string, wanted: string): string {
  return `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell ${JSON.stringify(setup).replaceAll("$", "\\$")}
zpty -r shell out '*READY*'
zpty -w -n shell ${JSON.stringify(typed)}$'\\t'
zpty -r shell out ${JSON.stringify(`*${wanted}*`)}
print -r -- "$out"
zpty -d shell`;
}

describe("completion, made from the commands", () => {
  test("in bash offers commands, their subcommands and their options", async () => {
    expect(await offered("cutover", "re")).toEqual(["releases", "redeploy", "repair"]);
    expect(await offered("cutover", "app", "")).toEqual(expect.arrayContaining(["add", "list", "show", "remove"]));
    expect(await offered("cutover", "logs", "shop", "--fo")).toEqual(["--follow"]);
    expect(await offered("cutover", "--json", "env", "l")).toEqual(["list"]);
  });

  test("in fish offers the same", async () => {
    using scratch = new Directory();
    const { out } = await host.run(["completion", "fish"]);
    const file = join(scratch.path, "cutover.fish");
    writeFileSync(file, out);
    const offers = (line: string) =>
      execFileSync("fish", ["--no-config", "-c", `source ${file}; complete --do-complete '${line}'`], {
        encoding: "utf8",
      })
        .trim()
        .split("\n");
    expect(offers("cutover re")).toEqual(["redeploy", "releases", "repair"]);
    expect(offers("cutover app ")).toEqual(expect.arrayContaining(["add", "list", "show", "remove"]));
    expect(offers("cutover logs shop --fo")).toEqual(["--follow"]);
    expect(offers("cutover --json env l")).toEqual(["list"]);
  });

  test.each(["a directory of fpath", "source"])("in zsh completes at the first key press, from %s", async (way) => {
    using scratch = new Directory();
    const { out } = await host.run(["completion", "zsh"]);
    writeFileSync(join(scratch.path, "_cutover"), out);
    const found = way === "source" ? "true" : `fpath=(${scratch.path} $fpath)`;
    const sourced = way === "source" ? `source ${scratch.path}/_cutover` : "true";
    const setup = `PS1=; ${found}; autoload -Uz compinit; compinit -u -D; ${sourced}; print REA""DY`;
    const completed = (typed: string, wanted: string) =>
      execFileSync("zsh", ["-f", "-c", typing(setup, typed, wanted)], { encoding: "utf8", timeout: 30_000 });
    expect(completed("cutover logs shop --fo", "--follow")).toContain("--follow");
    expect(completed("cutover app rem", "remove")).toContain("remove");
    expect(completed("cutover --json mainten", "maintenance")).toContain("maintenance");
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
