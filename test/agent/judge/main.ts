import { readFileSync, writeFileSync } from "node:fs";
import { equal, hard, worse } from "./scenarios.ts";
import { type Result, type Scenario, simulate } from "./simulate.ts";

/** Writes the table of the judge's page: `node test/agent/judge/main.ts [deployments]`. The same seed gives the same table. */

const page = "agent/judge/README.md";
const deployments = Number(process.argv[2] ?? 10_000);

function median(times: number[]): string {
  const middle = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
  return middle === undefined ? "" : `${middle} s`;
}

function percent(count: number): string {
  return `${((100 * count) / deployments).toFixed(2)} %`;
}

function row({ name, before, after }: Scenario, { takenBack, well, few }: Result): string {
  const rate = before.rate + (before.rate === after.rate ? 0 : after.rate);
  const cells = [name, rate, percent(takenBack.length), median(takenBack), percent(well.length), percent(few)];
  return `| ${cells.join(" | ")} |`;
}

const rows = [...equal, ...worse, ...hard].map((scenario, seed) => {
  const line = row(scenario, simulate(scenario, { deployments, seed: seed + 1 }));
  console.log(line);
  return line;
});
const [start, end] = ["<!-- reference:judged -->", "<!-- /reference:judged -->"];
const [head = "", rest = ""] = readFileSync(page, "utf8").split(start);
const [, tail = ""] = rest.split(end);
const table = [
  "| the new release is | requests/s | taken back | after (median) | shown to be well | too few requests |",
  "| --- | --- | --- | --- | --- | --- |",
  ...rows,
];
writeFileSync(page, `${head}${start}\n${table.join("\n")}\n${end}${tail}`);
