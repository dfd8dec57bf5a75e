import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { SerialQueue } from "../../shared/serial-queue.ts";

test("work is done one at a time, in its order, and goes on after a failure", async () => {
  const queue = new SerialQueue();
  const journal: string[] = [];
  const work = (name: string, ms: number) => async () => {
    journal.push(`${name} begins`);
    await sleep(ms);
    journal.push(`${name} ends`);
    if (name === "b") throw new Error("b fails");
    return name;
  };
  const all = [queue.run(work("a", 10)), queue.run(work("b", 1)), queue.run(work("c", 0))];
  expect(await Promise.allSettled(all)).toMatchObject([
    { value: "a" },
    { reason: { message: "b fails" } },
    { value: "c" },
  ]);
  expect(journal).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

test("is idle when what has come so far has ended, also badly", async () => {
  const queue = new SerialQueue();
  let ended = false;
  const failing = queue.run(async () => {
    await sleep(5);
    ended = true;
    throw new Error("no");
  });
  failing.catch(() => undefined);
  await queue.idle();
  expect(ended).toBe(true);
});
