import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { heading, print } from "../demo/show.ts";
import { repository } from "../harness/places.ts";
import { chooseDirectory, describeMachine, type Machine, machineLine } from "./machine.ts";
import { parts } from "./parts.ts";
import { fullSizes, tinySizes } from "./sizes.ts";
import { renderMarkdown, renderText, type Table } from "./table.ts";

/** Measures what the documentation claims: `npm run bench`, or some parts of it: `npm run bench -- deploy load`. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Prints the tables as Markdown as well. */
    markdown: { type: "boolean", default: false },
    /** Sizes that only show that all parts work. */
    tiny: { type: "boolean", default: false },
    /** The file for the picture of a part that has one: an SVG. */
    picture: { type: "string" },
    /** The file for the figures. */
    results: { type: "string", default: join(repository, "bench-results.json") },
  },
});
const unknown = positionals.filter((name) => !(name in parts));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: no part ${unknown.join(", ")}. Usage: npm run bench -- [${Object.keys(parts).join("] [")}] [--markdown]\n`,
  );
  process.exit(2);
}
await bench(positionals.length > 0 ? positionals : Object.keys(parts));

async function bench(names: string[]): Promise<void> {
  process.env.TMPDIR = chooseDirectory();
  const machine = await describeMachine();
  print(machineLine(machine));
  const results: Record<string, object> = {};
  const tables: Table[] = [];
  for (const name of names) {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part ${name}; there are ${Object.keys(parts).join(", ")}`);
    heading(part.what);
    const { figures, table, picture } = await part.measure(values.tiny ? tinySizes : fullSizes);
    results[name] = figures;
    tables.push(table);
    if (values.picture !== undefined && picture !== undefined) writeFileSync(values.picture, picture);
    write(machine, results);
  }
  for (const table of tables) print(`\n${renderText(table)}`);
  print(`\n${machineLine(machine)}\nAlso in ${values.results}.`);
  if (values.markdown) {
    print(`\n${[...tables.map(renderMarkdown), `Measured on ${machineLine(machine)}`].join("\n\n")}`);
  }
}

/** After each part, so that a later one that fails takes nothing away. */
function write(machine: Machine, results: Record<string, object>): void {
  const text = JSON.stringify({ measured: new Date().toISOString(), machine, ...results }, undefined, 2);
  writeFileSync(values.results, `${text}\n`);
}
