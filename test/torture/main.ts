import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import prettyMs from "pretty-ms";
import { type Effect, effects } from "../../agent/effects.ts";
import { type Bind, binds, TortureHost } from "./host.ts";
import { type Operation, operations } from "./operations.ts";
import { pointsOf, type Recording, record } from "./points.ts";
import known from "./reached.json" with { type: "json" };
import { soak } from "./soak.ts";
import { killDuring, type Result, strikeIn } from "./strike.ts";

/** `npm run torture`: kills and fails the agent at each of its effects, and sees what becomes of the site. */
const { values } = parseArgs({
  options: {
    /** Each effect in one operation alone. */
    once: { type: "boolean", default: false },
    /** Only these operations, with commas between them. */
    operation: { type: "string" },
    /** Only these effects, ways and binds, by a part of their names. */
    only: { type: "string" },
    fault: { type: "string" },
    bind: { type: "string" },
    /** At each kill everything of the host is killed, and comes back without the agent at first. */
    reboot: { type: "boolean", default: false },
    /** So many kills at random times instead. */
    random: { type: "string" },
    /** Does each operation undisturbed instead, and writes which effects it has into reached.json. */
    record: { type: "boolean", default: false },
    /** A directory for the journals of kill points, for test/agent/deploy/journals.test.ts. */
    journals: { type: "string" },
    /** So many deploys in a row under load instead, every tenth broken, every fifth killed. */
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
const results: Result[] = [];
const begun = performance.now();
for (const bind of binds.filter((each) => each.includes(values.bind ?? ""))) {
  await using host = await TortureHost.start(bind);
  if (values.soak !== undefined)
    process.exitCode = (await soak(host, Number(values.soak), Number(values.rate))) ? 0 : 1;
  else if (values.random !== undefined) await atRandom(host, Number(values.random));
  else if (values.record) keep(await record(host, wanted()));
  else await allPoints(host);
}
if (values.record) await writeFile(reachedFile, `${JSON.stringify(reached, null, 2)}\n`);
else if (values.soak === undefined) sumUp();

function wanted(): Operation[] {
  const names = values.operation?.split(",");
  return operations.filter(({ name }) => names?.includes(name) !== false);
}

function keep(recording: Recording): void {
  for (const [{ name }, seen] of recording) {
    const all = new Set([...(reached[name] ?? []), ...seen]);
    reached[name] = effects.filter((effect) => all.has(effect));
  }
}

function sumUp(): void {
  const bad = results.filter(({ faults }) => faults.length > 0);
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  const longest = Math.max(0, ...results.map(({ recoveryMs }) => recoveryMs));
  console.log(
    `${results.length} points, ${bad.length} of them not as they must be; ${requests} requests; ` +
      `longest recovery ${prettyMs(longest)}; took ${prettyMs(performance.now() - begun)}`,
  );
  process.exitCode = bad.length === 0 ? 0 : 1;
}

async function allPoints(host: TortureHost): Promise<void> {
  const points = pointsOf(await record(host, wanted()), { once: values.once }).filter(
    ({ strike }) => strike.effect.includes(values.only ?? "") && strike.fault.includes(values.fault ?? ""),
  );
  console.log(`bind ${host.bind}: ${points.length} points`);
  for (const { operation, strike } of points) {
    const result = await strikeIn(host, operation, strike, { reboot: values.reboot });
    say(host.bind, result);
    if (values.journals !== undefined && result.journal !== undefined) {
      const name = `${operation.name} ${host.bind} ${result.journal.journal?.deployment.state ?? "idle"}`;
      await writeFile(
        join(values.journals, `${name.replaceAll(" ", "-")}.json`),
        `${JSON.stringify({ ...result.journal, history: [] }, null, 2)}\n`,
      );
    }
  }
}

async function atRandom(host: TortureHost, count: number): Promise<void> {
  const choices = operations.filter(({ starts, visitorsMaySee }) => starts !== true && visitorsMaySee === undefined);
  for (let index = 0; index < count; index++) {
    const operation = choices[Math.floor(Math.random() * choices.length)] ?? operations[0];
    if (operation === undefined) return;
    say(host.bind, await killDuring(host, operation, Math.random() * 1500));
  }
}

function say(bind: Bind, result: Result): void {
  results.push(result);
  const { operation, strike, struck, faults, recoveryMs, requests } = result;
  const time = strike?.time === undefined || strike.time === 1 ? "" : ` ${strike.time}`;
  const effect = strike === undefined ? "any time" : `${strike.effect}${time}`;
  const how = strike?.fault ?? "kill";
  const verdict = !struck ? "not reached" : faults.length === 0 ? "well" : "NOT WELL";
  const columns = [bind.padEnd(6), operation.padEnd(22), effect.padEnd(25), how.padEnd(12), verdict.padEnd(11)];
  console.log(`${columns.join(" ")} ${prettyMs(Math.round(recoveryMs)).padStart(7)} ${String(requests).padStart(5)}`);
  for (const fault of faults) console.log(`       ${fault}`);
}
