import type { Chance } from "./chance.ts";

export type Verdict = "taken" | "refused";

/** What is fuzzed: how an input is made, and what must be true of it. */
export interface Target<Input> {
  name: string;
  make(chance: Chance): Input;
  /** @throws what must not be */
  check(input: Input): Promise<Verdict>;
  save(input: Input): Record<string, string>;
  load(saved: Record<string, string>): Input;
}

export interface Run {
  /** Ends at this time of `performance.now()`, or after so many tries. */
  until?: number;
  tries?: number;
}

export interface Outcome {
  tries: number;
  taken: number;
  failure?: { at: number; input: Record<string, string>; cause: unknown };
}

/** Longest that one input may take, in ms, and most memory that the process may have, in bytes. */
const limits = { ms: 10_000, rss: 1024 ** 3 };

/** Tries inputs until the first that fails. Each is made with the chance of its number. */
export async function fuzz<Input>(target: Target<Input>, chanceOf: (at: number) => Chance, run: Run): Promise<Outcome> {
  let taken = 0;
  for (let at = 0; ; at++) {
    if (at >= (run.tries ?? Number.POSITIVE_INFINITY) || performance.now() > (run.until ?? Number.POSITIVE_INFINITY)) {
      return { tries: at, taken };
    }
    const input = target.make(chanceOf(at));
    const begun = performance.now();
    try {
      if ((await target.check(input)) === "taken") taken++;
      const took = performance.now() - begun;
      if (took > limits.ms) throw new Error(`it took ${Math.round(took)} ms`);
      if (process.memoryUsage.rss() > limits.rss) throw new Error(`${process.memoryUsage.rss()} bytes of memory`);
    } catch (cause) {
      return { tries: at + 1, taken, failure: { at, input: target.save(input), cause } };
    }
  }
}
