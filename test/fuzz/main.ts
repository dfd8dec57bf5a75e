import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { BundleTarget } from "./bundle-target.ts";
import { Chance } from "./chance.ts";
import { manifestTarget } from "./manifest-target.ts";
import { fuzz, type Outcome, type Target } from "./target.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: randomBytes(4).toString("hex") },
    target: { type: "string", default: "bundle,manifest" },
    replay: { type: "string" },
  },
});

using bundleTarget = await BundleTarget.open();
const targets = [bundleTarget, manifestTarget] as Target<unknown>[];

if (values.replay !== undefined) await replay(values.replay);
else await run();

async function run(): Promise<void> {
  const chosen = targets.filter(({ name }) => values.target.split(",").includes(name));
  for (const target of chosen) {
    console.log(`${target.name}: seed ${values.seed}`);
    const until = performance.now() + (Number(values.minutes) * 60_000) / chosen.length;
    const chanceOf = (at: number) => new Chance(`${values.seed} ${at}`);
    report(target.name, await fuzz(target, chanceOf, { until }));
  }
}

function report(name: string, { tries, taken, failure }: Outcome): void {
  console.log(`${name}: ${tries} tried, ${taken} taken, ${tries - taken - (failure === undefined ? 0 : 1)} refused`);
  if (failure === undefined) return;
  const file = `fuzz-${name}-${values.seed}-${failure.at}.json`;
  writeFileSync(file, JSON.stringify({ target: name, ...failure.input }));
  console.log(failure.cause, `\nThe input is in ${file}: npm run fuzz -- --replay ${file}`);
  process.exitCode = 1;
}

async function replay(file: string): Promise<void> {
  const saved = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  const target = targets.find(({ name }) => name === saved.target);
  if (target === undefined) throw new Error(`${file} names no target`);
  console.log(await target.check(target.load(saved)));
}
