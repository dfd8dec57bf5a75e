import { createHook } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { wakeThreadPool } from "../../shared/thread-pool.ts";

test("a job comes to the pool again and again, until it is disposed of", async () => {
  let jobs = 0;
  const hook = createHook({
    init(_, type) {
      if (type === "FSREQCALLBACK") jobs++;
    },
  }).enable();
  try {
    const awake = wakeThreadPool(10);
    const deadline = performance.now() + 10_000;
    while (jobs < 3 && performance.now() < deadline) await sleep(10);
    expect(jobs).toBeGreaterThanOrEqual(3);
    awake[Symbol.dispose]();
    await sleep(20);
    const before = jobs;
    await sleep(200);
    expect(jobs).toBe(before);
  } finally {
    hook.disable();
  }
});
