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
      banner: 'import { createRequire as cutoverCreateRequire } from "node:module";',
    },
  };
}

export default defineConfig([
  bundle({ main: "action/main.ts" }, "action/dist"),
  bundle({ "cutover-agent": "agent/main.ts", cutover: "agent/cli/main.ts", launch: "agent/launch.ts" }, "agent/dist"),
]);
