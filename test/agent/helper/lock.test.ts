import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { node, repository } from "../../harness/places.ts";
import { isRunning, processId } from "../../harness/processes.ts";
import { Scratch } from "../../harness/scratch.ts";

/** A process that waits for the lock, says so, and then does what the text says. */
async function holder(scratch: Scratch, then: string, { waitMs = 10_000, hangMs = 1000 } = {}) {
  const code = `import { holdLock } from ${JSON.stringify(join(repository, "agent/helper/lock.ts"))};
const { signal } = new AbortController();
await holdLock(${JSON.stringify(join(scratch.path, "lock"))}, { waitMs: ${waitMs}, hangMs: ${hangMs}, signal, onLost: () => process.exit(3) });
console.log("held");
${then}`;
  const child = spawn(node, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "ignore"] });
  const id = processId(child.pid ?? -1);
  scratch.adopt(id);
  const ended = new Promise<string>((resolve) => child.once("exit", (exit, signal) => resolve(String(signal ?? exit))));
  const held = new Promise<string>((resolve) => child.stdout.once("data", () => resolve("held")));
  return { id, ended, first: () => Promise.race([held, ended]) };
}

test("a helper that hangs is killed, and the next one gets the lock", async () => {
  await using scratch = new Scratch("lock");
  const hanging = await holder(scratch, "for (;;);");
  expect(await hanging.first()).toBe("held");
  const next = await holder(scratch, "setTimeout(() => {}, 30_000)", { waitMs: 20_000 });
  expect(await next.first()).toBe("held");
  expect(await hanging.ended).toBe("SIGKILL");
}, 40_000);

test("a helper that works keeps the lock, and one that waits gives up in time", async () => {
  await using scratch = new Scratch("lock");
  const working = await holder(scratch, "setTimeout(() => {}, 30_000)", { hangMs: 3000 });
  expect(await working.first()).toBe("held");
  const waiting = await holder(scratch, "", { waitMs: 5000 });
  expect(await waiting.first()).toBe("1");
  expect(working.id !== undefined && isRunning(working.id)).toBe(true);
}, 40_000);
