import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { repository } from "../harness/places.ts";
import { endOf } from "../harness/run.ts";
import { renderRecording, type TimedLine } from "./recording.ts";
import { print } from "./show.ts";

/** `npm run demo:record`: runs the demo to its end, and writes what it showed into .github/assets/demo.svg. */
const demo = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), "--exit"], {
  env: { ...process.env, FORCE_COLOR: "1", NO_COLOR: "" },
  stdio: ["ignore", "pipe", "inherit"],
});
const begun = performance.now();
const lines: TimedLine[] = [];
createInterface({ input: demo.stdout }).on("line", (text) => {
  lines.push({ at: (performance.now() - begun) / 1000, text });
  print(text);
});
const code = await endOf(demo);
if (code !== 0) throw new Error(`the demo ended with ${code}, so nothing was recorded`);
const options = { columns: 112, rows: 24, idle: 1.5, rest: 8 };
writeFileSync(join(repository, ".github/assets/demo.svg"), renderRecording(lines, "npm run demo", options));
