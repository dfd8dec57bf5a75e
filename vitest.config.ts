import { defineConfig } from "vitest/config";

/** Tests that send requests at a fixed rate and count what becomes of each. */
const underLoad = [
  "test/bench/smoke.test.ts",
  "test/e2e/{gray,live-watch,main-job,processes,server-kinds,shut-down}.test.ts",
  "test/load/load.test.ts",
  "test/torture/torture.test.ts",
];
/** Tests of whole deploys, which take most of the time. */
const wholeDeploys = ["test/{e2e,torture}/**/*.test.ts", "test/load/**/*.test.ts"];
const lab = ["test/lab/**/*.test.ts"];

export default defineConfig({
  test: {
    // These find only what hangs, also on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
    reporters: ["default"],
    projects: [
      // These wait more than they work, so more of them run at the same time than there are cores.
      {
        extends: true,
        test: {
          ...{ name: "quick", include: ["test/**/*.test.ts"], exclude: [...wholeDeploys, ...lab, ...underLoad] },
          // No file leaves anything in its process, whose start would take longer than most tests.
          ...{ maxWorkers: 4, isolate: false, sequence: { groupOrder: 0 } },
        },
      },
      {
        extends: true,
        test: {
          ...{ name: "deploys", include: wholeDeploys, exclude: underLoad },
          ...{ maxWorkers: 4, sequence: { groupOrder: 0 } },
        },
      },
      // Two cores: real servers under load must not compete with much else. The hosts of the lab mostly wait.
      {
        extends: true,
        test: { ...{ name: "load", include: underLoad }, ...{ maxWorkers: 2, sequence: { groupOrder: 1 } } },
      },
      {
        extends: true,
        test: { ...{ name: "lab", include: lab }, ...{ maxWorkers: 2, sequence: { groupOrder: 1 } } },
      },
    ],
  },
});
