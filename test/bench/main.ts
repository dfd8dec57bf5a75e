import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { heading, print } from "../demo/show.ts";
import { repository } from "../harness/places.ts";
import { deployTable, measureDeploys } from "./deploy.ts";
import { grayTable, measureGray } from "./gray.ts";
import { chooseDirectory, describeMachine, type Machine, machineLine } from "./machine.ts";
import { renderMarkdown, renderText, type Table } from "./table.ts";
import { measureTraffic, trafficTable } from "./traffic.ts";
import { measureUnpack, unpackTable } from "./unpack.ts";
import { measureWorker, workerTable } from "./worker.ts";

/**
 * Measures what test/README.md claims: `npm run bench`, or one part of it: `npm run bench -- deploy`, `load`, `gray`, `unpack`.
 * Writes bench-results.json; `--markdown` prints the tables for test/README.md as well.
 */

interface Part {
  what: string;
  measure(): Promise<{ figures: object; table: Table }>;
}

const parts: Record<string, Part> = {
  deploy: {
    what: "Deploys of one changed file",
    async measure() {
      const figures = await measureDeploys();
      return { figures, table: deployTable(figures) };
    },
  },
  load: {
    what: "Deploys under load",
    async measure() {
      const figures = await measureTraffic();
      return { figures, table: trafficTable(figures) };
    },
  },
  gray: {
    what: "A gray release",
    async measure() {
      const figures = await measureGray();
      return { figures, table: grayTable(figures) };
    },
  },
  unpack: {
    what: "A bundle of 1 GB",
    async measure() {
      const figures = await measureUnpack();
      return { figures, table: unpackTable(figures) };
    },
  },
  worker: {
    what: "Deploys under a stream of jobs",
    async measure() {
      const figures = await measureWorker();
      return { figures, table: workerTable(figures) };
    },
  },
};

async function bench(names: string[], markdown: boolean): Promise<void> {
  process.env.TMPDIR = chooseDirectory();
  const machine = await describeMachine();
  print(machineLine(machine));
  const results: Record<string, object> = {};
  const tables: Table[] = [];
  for (const name of names) {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part ${name}; there are ${Object.keys(parts).join(", ")}`);
    heading(part.what);
    const { figures, table } = await part.measure();
    results[name] = figures;
    tables.push(table);
    write(machine, results);
  }
  for (const table of tables) print(`\n${renderText(table)}`);
  print(`\n${machineLine(machine)}\nAlso in bench-results.json.`);
  if (markdown) print(`\n${[...tables.map(renderMarkdown), `Measured on ${machineLine(machine)}`].join("\n\n")}`);
}

/** After each part, so that a later one that fails takes nothing away. */
function write(machine: Machine, results: Record<string, object>): void {
  const text = JSON.stringify({ measured: new Date().toISOString(), machine, ...results }, undefined, 2);
  writeFileSync(join(repository, "bench-results.json"), `${text}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { markdown: { type: "boolean", default: false } },
});
const unknown = positionals.filter((name) => !(name in parts));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: no part ${unknown.join(", ")}. Usage: npm run bench -- [${Object.keys(parts).join("] [")}] [--markdown]\n`,
  );
  process.exit(2);
}
await bench(positionals.length > 0 ? positionals : Object.keys(parts), values.markdown);
