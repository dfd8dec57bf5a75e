import type { BundleSpec } from "./bundle.ts";
import type { History, Operation } from "./history.ts";
import type { PlayOptions } from "./outcome.ts";
import { play } from "./play.ts";
import type { Broken } from "./watcher.ts";

/** Two failures are one when the same invariant is broken in the same words; ids and numbers are left out. */
export function signature({ invariant, message }: Broken): string {
  const words = message
    .replace(/\d{8}T\d{6}Z-[0-9a-f]{7}(\.\d+)?/g, "R")
    .replace(/sim\d+/g, "D")
    .replace(/\b(shop|blog)\b/g, "A")
    .replace(/\d+/g, "N")
    .replace(/ \([a-z_]+\)/g, "");
  return `${invariant} ${words}`;
}

/**
 * The shortest history that breaks the same invariant in the same words: first without whole parts, then without single
 * operations, then with simpler ones, until nothing can be left out.
 */
export async function shrink(
  history: History,
  broken: Broken,
  options: PlayOptions = {},
  maxRuns = 1500,
): Promise<{ history: History; runs: number }> {
  const wanted = signature(broken);
  let best = history;
  let runs = 0;
  const accept = async (operations: Operation[]): Promise<boolean> => {
    if (runs >= maxRuns) return false;
    runs++;
    const candidate = { seed: history.seed, operations };
    const { broken: now } = await play(candidate, options);
    if (now === undefined || signature(now) !== wanted) return false;
    best = candidate;
    return true;
  };
  for (let smaller = true; smaller && runs < maxRuns; ) {
    const before = JSON.stringify(best);
    for (let size = Math.max(1, best.operations.length >> 1); size >= 1; size >>= 1) {
      for (let at = best.operations.length - size; at >= 0; at -= size) {
        const without = best.operations.filter((_, index) => index < at || index >= at + size);
        if (without.length < best.operations.length) await accept(without);
      }
    }
    for (let at = best.operations.length - 1; at > 0; at--) await accept(merged(best.operations, at));
    for (let at = best.operations.length - 1; at >= 0; at--) {
      for (const simpler of simplerThan(best.operations[at] as Operation)) {
        await accept(best.operations.map((operation, index) => (index === at ? simpler : operation)));
      }
    }
    smaller = JSON.stringify(best) !== before;
  }
  return { history: best, runs };
}

/** Without an operation, whose time then passes after the one before. */
function merged(operations: Operation[], at: number): Operation[] {
  const gone = operations[at];
  return operations.flatMap((operation, index) => {
    if (index === at) return [];
    return index === at - 1 ? [{ ...operation, pause: operation.pause + (gone?.pause ?? 0) }] : [operation];
  });
}

const usualPause = [0, 500, 5000];

/** Each with one thing less, or one thing more usual. */
function* simplerThan(operation: Operation): Generator<Operation> {
  for (const pause of usualPause) if (pause < operation.pause) yield { ...operation, pause };
  if (operation.do === "deploy") {
    for (const key of Object.keys(operation.bundle) as (keyof BundleSpec)[]) {
      const { [key]: _, ...bundle } = operation.bundle;
      yield { ...operation, bundle };
    }
    for (const key of ["lostMs", "leaseMs", "stage"] as const) {
      const { [key]: had, ...rest } = operation;
      if (had !== undefined) yield rest as Operation;
    }
  }
  if ("waitMs" in operation && operation.waitMs > 0) yield { ...operation, waitMs: 0 };
  if (operation.do === "fault") {
    if (operation.times > 1) yield { ...operation, times: 1 };
    if (operation.after > 0) yield { ...operation, after: 0 };
  }
  if ("app" in operation && operation.app === "blog") yield { ...operation, app: "shop" } as Operation;
}
