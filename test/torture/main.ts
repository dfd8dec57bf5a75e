import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import prettyMs from "pretty-ms";
import { type Effect, effects } from "../../agent/effects.ts";
import { type Bind, binds } from "./bundles.ts";
import { keepEvidence } from "./evidence.ts";
import { TortureHost } from "./host.ts";
import { type Operation, operations } from "./operations.ts";
import { namesIn, pointsOf, type Recording, record } from "./points.ts";
import known from "./reached.json" with { type: "json" };
import { soak } from "./soak.ts";
import { couldNotGoOn, killDuring, type Result, strikeIn } from "./strike.ts";
import { type BoundResult, describeAll, describeResult } from "./summary.ts";

/** `npm run torture`: kills the agent or makes it fail at each of its effects, and checks what happens to the site. */
const { values } = parseArgs({
  options: {
    /** Each effect in only one operation. */
    once: { type: "boolean", default: false },
    /** Only these operations, with commas between them. */
    operation: { type: "string" },
    /** Only these effects, ways and binds, by a part of their names. */
    only: { type: "string" },
    fault: { type: "string" },
    bind: { type: "string" },
    /** `2/4`: the second of every four points, so that four runs do all. */
    part: { type: "string", default: "1/1" },
    /** Each kill kills everything of the host, which comes back first without the agent. */
    reboot: { type: "boolean", default: false },
    /** How many hosts at once. Each waits more than it works. */
    jobs: { type: "string", default: "2" },
    /** Only prints how many points there are. */
    count: { type: "boolean", default: false },
    /** Instead: this many kills at random times. */
    random: { type: "string" },
    /** Instead: does each operation without a fault, and writes its effects into reached.json. */
    record: { type: "boolean", default: false },
    /** A directory for what explains each point that was not well. */
    evidence: { type: "string" },
    /** A directory for the journals of kill points, for test/agent/deploy/recovery/journals.test.ts. */
    journals: { type: "string" },
    /** Instead: this many deploys in a row, each under five hundred requests; every tenth broken, every fifth killed. */
    soak: { type: "string" },
    /** Requests a second of that load. */
    rate: { type: "string", default: "200" },
  },
});

const reachedFile = fileURLToPath(new URL("reached.json", import.meta.url));
const reached = Object.fromEntries(
  operations.map(({ name }) => [
    name,
    values.operation === undefined ? [] : ((known as Record<string, Effect[]>)[name] ?? []),
  ]),
);
const results: BoundResult[] = [];
const begun = performance.now();
for (const bind of binds.filter((each) => each.includes(values.bind ?? ""))) {
  await using host = await TortureHost.start(bind);
  if (values.soak !== undefined) {
    const deploys = Number(values.soak);
    if (!(await soak(host, { deploys, rate: Number(values.rate), requests: deploys * 500 }))) process.exitCode = 1;
  } else if (values.random !== undefined) await allOf(bind, host, randomKills(Number(values.random)));
  else if (values.record) keep(await record(host, wanted()));
  else await allOf(bind, host, await points(host));
}
if (values.record) await writeFile(reachedFile, `${JSON.stringify(reached, null, 2)}\n`);
else if (values.soak === undefined) sumUp();

function wanted(): Operation[] {
  const names = values.operation?.split(",");
  return operations.filter(({ name }) => names?.includes(name) !== false);
}

/** The effects of earlier operations, if not all operations are done: what the whole matrix strikes there is not struck here. */
function earlierThan(which: Operation[]): Effect[] {
  const before = operations.slice(
    0,
    operations.findIndex((operation) => which.includes(operation)),
  );
  return before.flatMap(({ name }) => (known as Record<string, Effect[]>)[name] ?? []);
}

function keep(recording: Recording): void {
  for (const [{ name }, log] of recording) {
    const all = new Set([...(reached[name] ?? []), ...namesIn(log)]);
    reached[name] = effects.filter((effect) => all.has(effect));
  }
}

function sumUp(): void {
  const ms = performance.now() - begun;
  const each = prettyMs(Math.round(ms / Math.max(results.length, 1)));
  console.log(`\n${describeAll(results)}\ntook ${prettyMs(ms)}, ${each} a point, with ${values.jobs} hosts at once`);
  if (results.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
}

/** What is done to a host, and its result. */
type Task = (host: TortureHost) => Promise<Result>;

/** Each host takes the next task when it has finished one. */
async function allOf(bind: Bind, host: TortureHost, tasks: Task[]): Promise<void> {
  console.log(`bind ${bind}: ${tasks.length} points, from ${prettyMs(performance.now() - begun)} on`);
  if (values.count) return;
  const left = [...tasks];
  /** @returns whether a point has broken the host, which then must not be used for others */
  const work = async (own: TortureHost): Promise<boolean> => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) {
      // Those of the points before.
      own.takeEffects();
      const result = { bind, ...(await task(own)) };
      results.push(result);
      console.log(describeResult(result));
      if (values.evidence !== undefined && result.faults.length > 0)
        console.log(`       kept in ${await keepEvidence(values.evidence, own, result)}`);
      if (result.faults.some((fault) => fault.startsWith(couldNotGoOn))) return true;
    }
    return false;
  };
  const withNew = async () => {
    await using other = await TortureHost.start(bind);
    return await work(other);
  };
  const jobs = Array.from({ length: Math.min(Number(values.jobs), tasks.length) }, async (_, index) => {
    let broken = index === 0 ? await work(host) : await withNew();
    while (broken && left.length > 0) broken = await withNew();
  });
  await Promise.all(jobs);
}

async function points(host: TortureHost): Promise<Task[]> {
  const { once, reboot, only = "", fault = "" } = values;
  const [part, parts] = values.part.split("/");
  const all = pointsOf(await record(host, wanted()), { once, kills: reboot, earlier: earlierThan(wanted()) });
  return all
    .filter(({ strike }) => strike.effect.includes(only) && strike.fault.includes(fault))
    .filter(({ operation }) => !reboot || operation.noReboot === undefined)
    .filter((_, index) => index % Number(parts) === Number(part) - 1)
    .map(({ operation, strike }) => async (own) => {
      const result = await strikeIn(own, operation, strike, { reboot, brief: reboot });
      await keepJournal(host.bind, result);
      return result;
    });
}

async function keepJournal(bind: Bind, { operation, journal }: Result): Promise<void> {
  if (values.journals === undefined || journal === undefined) return;
  const name = `${operation} ${bind} ${journal.journal?.deployment.state ?? "idle"}`;
  const text = JSON.stringify({ ...journal, history: [] }, null, 2);
  await writeFile(join(values.journals, `${name.replaceAll(" ", "-")}.json`), `${text}\n`);
}

function randomKills(count: number): Task[] {
  const choices = operations.filter(({ starts, visitorsMaySee }) => starts !== true && visitorsMaySee === undefined);
  return Array.from({ length: count }, () => async (host) => {
    const operation = choices[Math.floor(Math.random() * choices.length)];
    if (operation === undefined) throw new Error("no operation can be killed at any time");
    return killDuring(host, operation, Math.random() * 1500);
  });
}
