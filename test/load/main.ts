import { createInterface } from "node:readline";
import { startLoad } from "./load.ts";
import type { LoadOptions } from "./options.ts";

/**
 * The load in a process of its own: options as JSON in the first argument, one JSON document a line on standard output
 * (`snapshot` five times a second, `report` at the end). The line `stop` ends it; so does the end of standard input, since
 * then whoever wanted the load is gone.
 */
const load = startLoad(JSON.parse(process.argv[2] ?? "{}") as LoadOptions);
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const snapshots = setInterval(() => say({ type: "snapshot", ...load.snapshot() }), 200);
say({ type: "snapshot", ...load.snapshot() });

// Ctrl-C reaches the whole process group; the one who started the load says when it ends.
process.on("SIGINT", () => undefined);
process.stdout.on("error", () => process.exit(1));

let stopping = false;
const input = createInterface({ input: process.stdin });
input.on("line", async (line) => {
  if (line !== "stop" || stopping) return;
  stopping = true;
  const report = await load.stop();
  clearInterval(snapshots);
  process.stdout.write(`${JSON.stringify({ type: "report", report })}\n`, () => process.exit(0));
});
input.on("close", () => {
  if (!stopping) process.exit(1);
});
