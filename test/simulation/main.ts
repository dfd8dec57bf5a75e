import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type History, historyOf } from "./history.ts";
import { knownFaults } from "./known.ts";
import type { PlayOptions } from "./outcome.ts";
import { play } from "./play.ts";
import { shrink, signature } from "./shrink.ts";
import type { Broken } from "./watcher.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    histories: { type: "string" },
    minutes: { type: "string" },
    shrink: { type: "boolean", default: false },
    replay: { type: "string" },
    trace: { type: "boolean", default: false },
    out: { type: "string" },
    only: { type: "string" },
    known: { type: "boolean", default: false },
    beyond: { type: "boolean", default: false },
    tolerate: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});

const usage = `npm run simulate -- [options]
  --seed N        the first history; the next ones are N+1, N+2, ... (default: by the clock)
  --histories N   how many (default 3000), or
  --minutes N     for how long
  --shrink        shorten each kind of failure that is found
  --tolerate TEXT pass over failures whose text has this; may be repeated
  --known         pass over the faults of known.ts
  --beyond        pass over each kind of failure once it is found, so that it does not hide others
  --only TEXT     only failures whose text has this
  --out DIR       write each shortened history there, as JSON
  --replay FILE   play one history from a file
  --trace         with --replay or --histories 1: print all that happens
`;

const tolerated: string[] = [...values.tolerate, ...(values.known ? knownFaults.map(({ shows }) => shows) : [])];
const options: PlayOptions = { tolerated };

const progressEvery = 10_000;

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (values.replay !== undefined) return replay(JSON.parse(readFileSync(values.replay, "utf8")));
  const first = Number(values.seed ?? Date.now() % 1_000_000_000);
  if (values.trace) return replay(historyOf(first));
  const count = values.minutes === undefined ? Number(values.histories ?? 3000) : Number.POSITIVE_INFINITY;
  return search(first, count, values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes));
}

async function replay(history: History): Promise<number> {
  const trace: string[] = [];
  const { broken } = await play(history, { ...options, trace: values.trace ? trace : undefined });
  for (const line of trace) console.log(line);
  console.log(
    broken === undefined ? "no invariant is broken" : `${broken.invariant} at ${broken.at} ms: ${broken.message}`,
  );
  return broken === undefined ? 0 : 1;
}

interface Found {
  seed: number;
  broken: Broken;
  times: number;
}

async function search(first: number, count: number, minutes: number): Promise<number> {
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const found = new Map<string, Found>();
  let [histories, deployments, steps, failed] = [0, 0, 0, 0];
  while (histories < count && performance.now() - begun < minutes * 60_000) {
    const seed = first + histories;
    const outcome = await play(historyOf(seed), options);
    // What Node keeps about signals that are gone is removed only when a history is not playing.
    await setImmediate();
    histories++;
    // A run of hours that is ended early has said how far it came.
    if (histories % progressEvery === 0) console.log(`${histories} histories, ${failed} broke an invariant`);
    deployments += outcome.deployments;
    steps += outcome.steps;
    const { broken } = outcome;
    if (broken === undefined || !broken.message.includes(values.only ?? "")) continue;
    failed++;
    const key = signature(broken);
    const known = found.get(key);
    if (known !== undefined) known.times++;
    else {
      found.set(key, { seed, broken, times: 1 });
      console.log(`seed ${seed}: ${broken.invariant} at ${broken.at} ms: ${broken.message}`);
      if (!values.beyond) continue;
      if (values.shrink) await shorten(seed, broken);
      tolerated.push(knownFaults.find(({ shows }) => broken.message.includes(shows))?.shows ?? broken.message);
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const core = (user + system) / 1e6;
  const speed = Math.round((histories / core) * 60);
  console.log(
    `${histories} histories from seed ${first}, ${deployments} deployments, ${steps} steps, ${seconds.toFixed(1)} s; ${speed} a minute of one core`,
  );
  console.log(`${failed} broke an invariant, in ${found.size} ways`);
  for (const [key, { seed, broken, times }] of [...found].sort(([, a], [, b]) => b.times - a.times)) {
    console.log(`${String(times).padStart(6)}  seed ${seed}  ${key}`);
    if (values.shrink && !values.beyond) await shorten(seed, broken);
  }
  return failed === 0 ? 0 : 1;
}

async function shorten(seed: number, broken: Broken): Promise<void> {
  const { history, runs } = await shrink(historyOf(seed), broken, options);
  console.log(`        ${history.operations.length} operations, after ${runs} runs:`);
  console.log(`        ${JSON.stringify(history)}`);
  if (values.out === undefined) return;
  const name = signature(broken)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 70)
    .replace(/-$/, "");
  mkdirSync(values.out, { recursive: true });
  writeFileSync(
    `${values.out}/${name}.json`,
    `${JSON.stringify({ broken: signature(broken), ...history }, null, 1)}\n`,
  );
}

process.exitCode = await main();
