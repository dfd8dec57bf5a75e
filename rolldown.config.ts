import { defineConfig, type RolldownOptions } from "rolldown";

/** Everything is bundled: the runner has no node_modules, and a host needs only Node and agent/dist. */
function bundle(input: Record<string, string>, dir: string): RolldownOptions {
  return {
    input,
    platform: "node",
    output: {
      dir,
      format: "esm",
      entryFileNames: "[name].mjs",
      chunkFileNames: "[name]-[hash].mjs",
      sourcemap: dir === "agent/dist",
      cleanDir: true,
    },
  };
}

export const actionBundle = bundle({ main: "action/main.ts" }, "action/dist");

export const agentBundle = bundle(
  {
    "cutover-agent": "agent/main.ts",
    "cutover-helper": "agent/helper/main.ts",
    cutover: "agent/cli/main.ts",
    launch: "agent/launch.ts",
  },
  "agent/dist",
);

/** The set-up builds the agent alone: action/dist is committed, and a test compares it with the sources. */
const chosen: Record<string, RolldownOptions[]> = { action: [actionBundle], agent: [agentBundle] };

export default defineConfig(chosen[process.env.CUTOVER_BUILD ?? ""] ?? [actionBundle, agentBundle]);
