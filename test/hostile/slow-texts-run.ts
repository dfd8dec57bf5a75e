import { openSync, writeSync } from "node:fs";
import { readers, slowTexts } from "./slow-texts.ts";

/** Prints what takes long. The file named on the command line has what is read just now: of what never ends, nothing is printed. */
const now = openSync(process.argv[2] ?? "/dev/null", "w");

for (const { name, longest, read } of readers) {
  for (const text of slowTexts(longest)) {
    const shown = `${name} ${JSON.stringify(`${text.slice(0, 20)} ... ${text.slice(-10)}`)}`;
    writeSync(now, `${shown}\n`.padEnd(400), 0);
    const began = performance.now();
    read(text);
    const took = Math.round(performance.now() - began);
    if (took > 200) process.stdout.write(`${took} ms: ${shown}\n`);
  }
}
