import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { manyDeployments } from "./bounded.ts";
import { type History, historyOf } from "./history.ts";
import { tolerated } from "./known.ts";
import { play } from "./play.ts";
import { shrink, signature } from "./shrink.ts";

/** Ends well: otherwise the error is a test that can be pasted. */
async function assertWell(history: History): Promise<void> {
  const { broken } = await play(history, { tolerated });
  if (broken === undefined) return;
  const { history: shortest } = await shrink(history, broken, { tolerated }, 400);
  throw new Error(
    `seed ${history.seed}: ${broken.invariant} at ${broken.at} ms: ${broken.message}\n` +
      `The shortest history, for --replay or for a test:\n\n` +
      `test(${JSON.stringify(signature(broken))}, () =>\n  assertWell(${JSON.stringify(shortest)}));\n`,
  );
}

async function assertAllWell(first: number, count: number): Promise<void> {
  for (let seed = first; seed < first + count; seed++) await assertWell(historyOf(seed));
}

test("500 histories with fixed seeds end well", () => assertAllWell(1, 500), 120_000);

const fresh = Date.now() % 1_000_000_000;
test(`500 histories from the fresh seed ${fresh} end well`, () => assertAllWell(fresh, 500), 120_000);

test("one seed decides everything", async () => {
  const traces = await Promise.all(
    [[], []].map(async (trace: string[]) => {
      await play(historyOf(7), { trace, tolerated });
      return trace;
    }),
  );
  expect(traces[0]?.length).toBeGreaterThan(100);
  expect(traces[0]).toEqual(traces[1]);
});

const found = new URL("found/", import.meta.url);

interface Found extends History {
  broken: string;
}

// What was found once. While a fault is known, its history shows that the simulation still finds it; afterwards it ends well.
test.each(readdirSync(found).filter((name) => name.endsWith(".json")))("found: %s", async (name) => {
  const { broken: wanted, ...history } = JSON.parse(readFileSync(new URL(name, found), "utf8")) as Found;
  const isKnown = tolerated.some((text) => wanted.includes(text));
  const { broken } = await play(history, { tolerated: tolerated.filter((text) => !wanted.includes(text)) });
  expect(broken && signature(broken)).toBe(isKnown ? wanted : undefined);
});

test("what an app leaves on disk does not grow with its deployments", async () => {
  const few = await manyDeployments(100, [{}, { fault: "exits" }]);
  const many = await manyDeployments(1000, [{}, { fault: "exits" }]);
  expect({ ...many, stateBytes: 0, deployments: 0, heap: 0 }).toEqual({
    ...few,
    stateBytes: 0,
    deployments: 0,
    heap: 0,
  });
  expect(many.stateBytes).toBeLessThan(few.stateBytes * 1.2);
}, 60_000);

test("C11: what an app leaves on disk does not grow while no deploy succeeds", async () => {
  const { records, events } = await manyDeployments(300, [{ fault: "environment" }]);
  expect(records).toBeLessThan(50);
  expect(events).toBeLessThan(50);
});
