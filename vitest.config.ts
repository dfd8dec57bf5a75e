import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A shared machine may be several times slower than the day before; what hangs is still found.
    testTimeout: 240_000,
    hookTimeout: 300_000,
    // Two cores: real servers under load must not compete with each other.
    maxWorkers: 2,
    reporters: ["default"],
  },
});
