import fc from "fast-check";
import { beforeAll, it } from "vitest";
import { type History, histories, runHistory, simulatedBundle } from "./history.ts";
import { check, undoLimitMs } from "./invariants.ts";

/**
 * The Action's own code against simulated hosts over a simulated network, in virtual time. A failure prints the seed and
 * the shortest history that shows it: put that into `found` below.
 */

const runs = Number(process.env.CUTOVER_HISTORIES ?? 1000);
const seed = process.env.CUTOVER_SEED === undefined ? undefined : Number(process.env.CUTOVER_SEED);

beforeAll(simulatedBundle);

async function holds(history: History): Promise<void> {
  check(history, await runHistory(history, history.timeoutS * 1000 + undoLimitMs + 60_000));
}

it.each([
  ["fresh ones", seed],
  ["the same ones each time", 20261126],
])("the invariants hold in every history: %s", async (_, from) => {
  const options = { numRuns: runs / 2, endOnFailure: false, ...(from !== undefined && { seed: from }) };
  await fc.assert(fc.asyncProperty(histories, holds), options);
});
