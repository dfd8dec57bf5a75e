import prettyMs from "pretty-ms";
import { type Effect, effects } from "../../agent/effects.ts";
import type { Logged } from "./effect-log.ts";
import { failuresOf } from "./failures.ts";
import type { Strike, TortureHost } from "./host.ts";
import { type Operation, operations } from "./operations.ts";
import { Prober } from "./prober.ts";
import { ends } from "./strike.ts";

export interface Point {
  operation: Operation;
  strike: Strike;
}

/** Effects that no operation has, with the reason. */
export const unreached: Partial<Record<Effect, string>> = {
  "environment.take": "embedded mode builds in place; test/hostile/trust has builds apart",
  "requests.rotate": "it comes once in eight megabytes of lines; test/agent/host/requests rotates under load",
  "audit.rotate": "it comes once in four megabytes of lines; audit-files.test.ts rotates small ones",
};

/** The effects of an operation in their order. An effect that comes several times is in it several times. */
export type Recording = Map<Operation, Logged[]>;

/** Does each operation once without a fault, so that no effect is forgotten. */
export async function record(host: TortureHost, which: Operation[] = operations): Promise<Recording> {
  const recording: Recording = new Map();
  const prober = new Prober(host.site);
  for (const operation of which) {
    const begun = performance.now();
    await operation.prepare?.(host);
    host.takeEffects();
    prober.start();
    const { name } = operation;
    const told = (error: Error) => console.log(`${name} on ${host.bind} ends with: ${error.message}`);
    await ends(host, { ...operation, run: (host) => operation.run(host).catch(told) });
    await operation.finish?.(host);
    await host.settles(30_000);
    await prober.stop();
    recording.set(operation, host.takeEffects());
    // No operation may find the site or the configuration of another one live.
    for (let deploys = 0; deploys < 2; deploys++) await host.deploy();
    console.log(`recorded ${operation.name} on ${host.bind} in ${prettyMs(performance.now() - begun)}`);
  }
  return recording;
}

/** The names of the effects in a recording, in the order of the list of all effects. */
export function namesIn(log: Logged[]): Effect[] {
  const seen = new Set(log.map(({ effect }) => effect));
  return effects.filter((effect) => seen.has(effect));
}

/** Effects inside each write of a file, link or line. They are struck in the first operation that has them. */
const parts = /^(durable|directory|audit|events)\.|^launch\.(create|sync)$/;

/** Effects for which it matters which of several it is: which text, which link. For others the first one is enough. */
const eachTime: readonly Effect[] = [
  ...effects.filter((effect) => effect.startsWith("state.write:")),
  "durable.rename",
  "durable.link",
  "links.publish",
  "slots.swap",
  "programs.unlink",
  "programs.remove",
  "run.remove",
  "release.aside",
];

/**
 * Every effect of every operation, with a kill before it and one after it. Each way in which an effect can fail is tried in the
 * first operation that has the effect, and one of the ways in every third of the others. Two kills at the same moment are one
 * point. If operations begin or end in the same way, only the first one tries what they share.
 * @param how `once`: each effect in the first operation that has it; `kills`: no failures; `earlier`: the effects of earlier
 * operations that are not done now
 */
export function pointsOf(
  recording: Recording,
  { once = false, kills = false, earlier = [] }: { once?: boolean; kills?: boolean; earlier?: Effect[] } = {},
): Point[] {
  const known = new Set<Effect>(earlier);
  const begun: Effect[][] = [];
  return [...recording].flatMap(([operation, log]) => {
    const turn = operations.findIndex(({ name }) => name === operation.name);
    const all = namesIn(log);
    const first = new Set(all.filter((effect) => !known.has(effect)));
    const shared = operation.prepare === undefined ? sharedWith(begun, log) : new Set<string>();
    const own = all.filter((effect) => first.has(effect) || !(once || parts.test(effect)));
    const isNew = ({ effect, time }: Strike) => first.has(effect) || !shared.has(`${effect} ${time}`);
    const killed = killsIn(log.filter(({ effect }) => own.includes(effect))).filter(isNew);
    const failed = own.flatMap((effect): Strike[] => {
      const ways = failuresOf(effect);
      const one = (turn + effects.indexOf(effect)) % 3 === 0 ? [ways[turn % ways.length] ?? []].flat() : [];
      const chosen = first.has(effect) ? ways : one;
      return chosen.map((fault) => ({ effect, fault, time: 1 })).filter(isNew);
    });
    for (const effect of all) known.add(effect);
    if (operation.prepare === undefined) begun.push(namesInTurn(log));
    return [...killed, ...(kills ? [] : failed)].map((strike) => ({ operation, strike }));
  });
}

/** The effects that are not parts of others, in the order of their begin. */
function namesInTurn(log: Logged[]): Effect[] {
  return log.filter(({ when, effect }) => when === "before" && !parts.test(effect)).map(({ effect }) => effect);
}

/**
 * What an operation does exactly as an earlier one, at its begin and at its end: each effect with its number. The last effect
 * before they differ may end differently.
 */
function sharedWith(begun: Effect[][], log: Logged[]): Set<string> {
  const own = namesInTurn(log);
  const times = new Map<Effect, number>();
  const labels = own.map((effect) => {
    times.set(effect, (times.get(effect) ?? 0) + 1);
    return `${effect} ${times.get(effect)}`;
  });
  const begin = Math.max(0, ...begun.map((other) => alike(own, other) - 1));
  const end = Math.max(0, ...begun.map((other) => alike(own.toReversed(), other.toReversed()) - 1));
  return new Set(labels.filter((_, index) => index < begin || index >= own.length - end));
}

/** How many elements both lists have in common at their begin. */
function alike(one: Effect[], other: Effect[]): number {
  const parting = one.findIndex((effect, index) => other[index] !== effect);
  return parting < 0 ? one.length : parting;
}

/** In milliseconds. In a longer time between two effects, the host may change by itself. */
const sameMomentMs = 10;

/** Nothing is done to the host between the end of an effect and the begin of the next one, so one kill there is enough. */
function killsIn(log: Logged[]): Strike[] {
  const times = { before: new Map<Effect, number>(), after: new Map<Effect, number>() };
  const kills: Strike[] = [];
  let last: Logged | undefined;
  let struck = false;
  for (const line of log) {
    const { at, when, effect } = line;
    const time = (times[when].get(effect) ?? 0) + 1;
    times[when].set(effect, time);
    const done = when === "after" && last?.when === "before";
    if (last === undefined || done || Math.abs(at - last.at) > sameMomentMs) struck = false;
    // Inside a write of a file the interesting moment is between the temporary file and the rename.
    const again = eachTime.includes(effect) && !(effect.startsWith("durable.") && when === "after");
    if (!struck && (time === 1 || again)) {
      kills.push({ effect, fault: `kill-${when}`, time });
      struck = true;
    }
    last = line;
  }
  return kills;
}
