import { parseArgs } from "node:util";
import prettyMs from "pretty-ms";
import type { Effect } from "../../agent/effects.ts";
import { type Bind, binds, TortureHost } from "./host.ts";
import { operations } from "./operations.ts";
import { pointsOf, record } from "./points.ts";
import { killDuring, type Result, strikeIn } from "./strike.ts";

/** `npm run torture`: kills and fails the agent at each of its effects, and sees what becomes of the site. */
const { values } = parseArgs({
  options: {
    /** Each effect in one operation alone. */
    once: { type: "boolean", default: false },
    /** Only these effects, operations, ways and binds, by a part of their names. */
    only: { type: "string" },
    operation: { type: "string" },
    fault: { type: "string" },
    bind: { type: "string" },
    /** So many kills at random times instead. */
    random: { type: "string" },
  },
});

const results: Result[] = [];
const begun = performance.now();
for (const bind of binds.filter((each) => each.includes(values.bind ?? ""))) {
  await using host = await TortureHost.start(bind);
  if (values.random === undefined) await allPoints(host);
  else await atRandom(host, Number(values.random));
}
const bad = results.filter(({ faults }) => faults.length > 0);
const requests = results.reduce((sum, result) => sum + result.requests, 0);
const longest = Math.max(0, ...results.map(({ recoveryMs }) => recoveryMs));
console.log(
  `${results.length} points, ${bad.length} of them not as they must be; ${requests} requests; ` +
    `longest recovery ${prettyMs(longest)}; took ${prettyMs(performance.now() - begun)}`,
);
process.exitCode = bad.length === 0 ? 0 : 1;

async function allPoints(host: TortureHost): Promise<void> {
  const wanted = operations.filter(({ name }) => values.operation === undefined || name === values.operation);
  const points = pointsOf(await record(host, wanted), { once: values.once }).filter(
    ({ strike }) => strike.effect.includes(values.only ?? "") && strike.fault.includes(values.fault ?? ""),
  );
  console.log(`bind ${host.bind}: ${points.length} points`);
  for (const { operation, strike } of points) say(host.bind, await strikeIn(host, operation, strike));
}

async function atRandom(host: TortureHost, count: number): Promise<void> {
  const choices = operations.filter(
    ({ name, visitorsMaySee }) => !name.startsWith("rec") && visitorsMaySee === undefined,
  );
  for (let index = 0; index < count; index++) {
    const operation = choices[Math.floor(Math.random() * choices.length)] ?? operations[0];
    if (operation === undefined) return;
    say(host.bind, await killDuring(host, operation, Math.random() * 1500));
  }
}

function say(bind: Bind, result: Result): void {
  results.push(result);
  const { operation, strike, struck, faults, recoveryMs, requests } = result;
  const effect: Effect | "any time" = strike?.effect ?? "any time";
  const how = strike?.fault ?? "kill";
  const verdict = !struck ? "not reached" : faults.length === 0 ? "well" : "NOT WELL";
  const columns = [bind.padEnd(6), operation.padEnd(22), effect.padEnd(23), how.padEnd(12), verdict.padEnd(11)];
  console.log(`${columns.join(" ")} ${prettyMs(Math.round(recoveryMs)).padStart(7)} ${String(requests).padStart(5)}`);
  for (const fault of faults) console.log(`       ${fault}`);
}
