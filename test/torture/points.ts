import { type Effect, effects, type Fault } from "../../agent/effects.ts";
import type { Strike, TortureHost } from "./host.ts";
import { type Operation, operations } from "./operations.ts";
import { ends } from "./strike.ts";

export interface Point {
  operation: Operation;
  strike: Strike;
}

/** Effects that no operation has, with the reason. */
export const unreached: Partial<Record<Effect, string>> = {
  "app.remove": "it takes away what the torture needs; test/e2e and test/agent remove apps",
  "token.spend":
    "operations come over the admin socket, which knows no tokens; spent-tokens.test.ts has its own crashes",
};

/** What an operation does to the host, in its order, effects that come several times as often. */
export type Recording = Map<Operation, Effect[]>;

/** Does each operation once and undisturbed, so that no effect is forgotten. */
export async function record(host: TortureHost, which: Operation[] = operations): Promise<Recording> {
  const recording: Recording = new Map();
  for (const operation of which) {
    await operation.prepare?.(host);
    host.takeEffects();
    await ends(host, operation);
    await host.settles(30_000);
    recording.set(operation, effectsIn(host.takeEffects()));
    await host.deploy();
    await host.rollback();
  }
  return recording;
}

function effectsIn(lines: string[]): Effect[] {
  return lines.flatMap((line) => {
    const [when, name] = line.split(" ");
    return when === "before" ? effects.filter((effect) => effect === name) : [];
  });
}

/** How each effect can fail: supervisord's answers get lost on the way, the others meet a fault of the system. */
export function faultsOf(effect: Effect): Fault[] {
  const kills: Fault[] = ["kill-before", "kill-after"];
  if (/^programs\.(reload|add|start|stop|remove)$/.test(effect)) return [...kills, "lose"];
  const errors = ["fail-ENOSPC", "fail-EIO", "fail-EMFILE"] as const;
  return [...kills, errors[effects.indexOf(effect) % errors.length] ?? "fail-EIO"];
}

/** Where it matters which of several it is: what is written, which link. Of the others the first stands for all. */
const eachTime: readonly Effect[] = [
  "durable.rename",
  "durable.link",
  "links.publish",
  "slots.swap",
  "run.remove",
  "release.aside",
];

/** Every effect of every operation; with `once`, each effect in the first operation that has it. */
export function pointsOf(recording: Recording, { once = false }: { once?: boolean } = {}): Point[] {
  const known = new Set<Effect>();
  return [...recording].flatMap(([operation, seen]) => {
    const own = [...new Set(seen)].filter((effect) => !(once && known.has(effect)));
    for (const effect of own) known.add(effect);
    const times = (effect: Effect) => (eachTime.includes(effect) ? seen.filter((each) => each === effect).length : 1);
    return own.flatMap((effect) =>
      Array.from({ length: times(effect) }, (_, index) => index + 1).flatMap((time) =>
        // Of a file's own steps the interesting one is between its temporary file and its name.
        (time > 1 && effect.startsWith("durable.") ? ["kill-before" as const] : faultsOf(effect)).map((fault) => ({
          operation,
          strike: { effect, fault, time },
        })),
      ),
    );
  });
}
