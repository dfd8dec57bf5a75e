import { openSync, writeSync } from "node:fs";
import { readers, slowTexts } from "./slow-texts.ts";

/** Prints what takes long. The file named on the command line has what is read just now: of what never ends, nothing is printed. */
const now = openSync(process.argv[2] ?? "/dev/null", "w");

/** Of the processor's time: a machine that is busy elsewhere does not count. */
const limitMs = 200;

for (const reader of readers) {
  for (const text of slowTexts(reader)) {
    const shown = `${reader.name} ${JSON.stringify(`${text.slice(0, 20)} ... ${text.slice(-10)}`)}`;
    writeSync(now, `${shown}\n`.padEnd(400), 0);
    const before = process.cpuUsage();
    reader.read(text);
    const { user, system } = process.cpuUsage(before);
    const took = Math.round((user + system) / 1000);
    if (took > limitMs) process.stdout.write(`${took} ms: ${shown}\n`);
  }
}
