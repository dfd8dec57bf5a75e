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
  "tree.give": "the embedded mode runs an app as its own user, so there is nobody to give it to; test/lab has users",
  "tree.seal": "the same",
  "audit.rotate": "it comes once in four megabytes of lines; audit-files.test.ts rotates small ones",
};

/** What an operation does to the host, in its order, effects that come several times as often. */
export type Recording = Map<Operation, Logged[]>;

/** Does each operation once and undisturbed, so that no effect is forgotten. */
export async function record(host: TortureHost, which: Operation[] = operations): Promise<Recording> {
  const recording: Recording = new Map();
  const prober = new Prober(host.site);
  for (const operation of which) {
    const begun = performance.now();
    await operation.prepare?.(host);
    host.takeEffects();
    prober.start();
    await ends(host, operation);
    await operation.finish?.(host);
    await host.settles(30_000);
    await prober.stop();
    recording.set(operation, host.takeEffects());
    await host.deploy();
    await host.rollback();
    console.log(`recorded ${operation.name} on ${host.bind} in ${prettyMs(performance.now() - begun)}`);
  }
  return recording;
}

/** The effects of a recording by name, in the order of the list of all. */
export function namesIn(log: Logged[]): Effect[] {
  const seen = new Set(log.map(({ effect }) => effect));
  return effects.filter((effect) => seen.has(effect));
}

/** Where it matters which of several it is: what is written, which link. Of the others the first stands for all. */
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
 * Every effect of every operation: killed before and after it, and failed. Each way in which an effect can fail comes in
 * the first operation that has it, and one of them in each of the others. Two kills at the same moment are one point.
 * @param how `once`: each effect in the first operation that has it; `kills`: no failures
 */
export function pointsOf(recording: Recording, { once = false, kills = false } = {}): Point[] {
  const known = new Set<Effect>();
  return [...recording].flatMap(([operation, log], turn) => {
    const own = namesIn(log).filter((effect) => !(once && known.has(effect)));
    const first = new Set(own.filter((effect) => !known.has(effect)));
    const failed = own.flatMap((effect): Strike[] => {
      const all = failuresOf(effect);
      const chosen = first.has(effect) ? all : all.slice(turn % all.length).slice(0, 1);
      return chosen.map((fault) => ({ effect, fault, time: 1 }));
    });
    for (const effect of own) known.add(effect);
    const killed = killsIn(log).filter(({ effect }) => own.includes(effect));
    return [...killed, ...(kills ? [] : failed)].map((strike) => ({ operation, strike }));
  });
}

/** Further apart than this, in milliseconds, two effects may find the host changed although nothing was done to it. */
const sameMomentMs = 10;

/** Between the end of an effect and the begin of the next nothing is done to the host: there one kill stands for all. */
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
    if (!struck && (time === 1 || eachTime.includes(effect))) {
      kills.push({ effect, fault: `kill-${when}`, time });
      struck = true;
    }
    last = line;
  }
  return kills;
}
