import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { repository } from "../harness/places.ts";

const { TMPDIR: _, ...env } = process.env;

function inMemory(...command: string[]) {
  const script = join(repository, "test/in-memory.sh");
  return spawn("sh", [script, ...command], { env, stdio: ["pipe", "pipe", "inherit"] });
}

test("a run that ends takes nothing from one that goes on, and nothing is left", async () => {
  const long = inMemory("sh", "-c", "mktemp -u; read line; rm $(mktemp); echo $?");
  const lines = createInterface({ input: long.stdout })[Symbol.asyncIterator]();
  const directory = dirname(String((await lines.next()).value));
  const short = inMemory("true");
  expect(await once(short, "exit")).toEqual([0, null]);
  const ended = once(long, "exit");
  long.stdin.end("\n");
  expect((await lines.next()).value).toBe("0");
  expect(await ended).toEqual([0, null]);
  expect(directory === "/tmp" || !existsSync(directory)).toBe(true);
});
