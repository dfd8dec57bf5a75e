import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/longest-first.ts";

/** Tests of whole deploys by real programs. That no request fails must hold on a busy machine, too. */
const deploys = ["test/{e2e,torture,hostile/trust}/**/*.test.ts", "test/bench/smoke.test.ts"];
const lab = ["test/lab/**/*.test.ts"];
/** The tests of the load generator itself, which look at when it sends. */
const load = ["test/load/**/*.test.ts"];

/** Most tests wait more than they work, so more of them run at the same time than there are cores. */
const together = { maxWorkers: 4, sequence: { groupOrder: 0 } };
const alone = { maxWorkers: 1, sequence: { groupOrder: 1 } };

export default defineConfig({
  test: {
    // These find only what hangs, also on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
    reporters: ["default"],
    sequence: { sequencer: LongestFirst },
    projects: [
      // No file leaves anything in its process, whose start would take longer than most tests.
      {
        extends: true,
        test: {
          ...{ name: "quick", include: ["test/**/*.test.ts"], exclude: [...deploys, ...lab, ...load] },
          ...{ isolate: false, ...together },
        },
      },
      { extends: true, test: { name: "deploys", include: deploys, ...together } },
      { extends: true, test: { name: "lab", include: lab, ...together } },
      { extends: true, test: { name: "load", include: load, ...alone } },
    ],
  },
});
