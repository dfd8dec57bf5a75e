import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { scratch } from "../agent/host/scratch.ts";

const minute = 60_000;

test("no text of a repository, an app or a caller takes long to read", { timeout: 4 * minute }, async () => {
  // A process of its own: a pattern that takes for ever cannot be stopped in this one.
  const now = join(scratch(), "now");
  const script = new URL("./slow-texts-run.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, now], { stdio: ["ignore", "pipe", "inherit"], timeout: 3 * minute });
  const [slow, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect(slow).toBe("");
  expect(code === 0 ? "" : `not read to its end: ${readFileSync(now, "utf8").split("\n")[0]}`).toBe("");
});
