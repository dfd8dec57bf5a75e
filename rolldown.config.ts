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
      // action/dist is committed: a name that changes with each build would hide what has changed.
      chunkFileNames: dir === "action/dist" ? "[name].mjs" : "[name]-[hash].mjs",
      sourcemap: dir === "agent/dist",
      cleanDir: true,
    },
  };
}

export const actionBundle = bundle({ main: "action/main.ts" }, "action/dist");

export const agentBundle = bundle(
  { "cutover-agent": "agent/main.ts", "cutover-helper": "agent/helper/main.ts", cutover: "agent/cli/main.ts" },
  "agent/dist",
);

/** One file by itself: it stays on the host when the rest is removed. Built after the others, which empty the directory. */
const launcher = bundle({ launch: "agent/launch.ts" }, "agent/dist");
const launcherBundle = { ...launcher, output: { ...launcher.output, cleanDir: false } };

/** The set-up builds the agent alone: action/dist is committed, and a test compares it with the sources. */
const chosen: Record<string, RolldownOptions[]> = { action: [actionBundle], agent: [agentBundle, launcherBundle] };

export default defineConfig(chosen[process.env.CUTOVER_BUILD ?? ""] ?? [actionBundle, agentBundle, launcherBundle]);
