import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../contracts/ports.ts";

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => Math.round(performance.now()),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // Timers reject with their own AbortError; callers want the reason of the abort.
      signal?.throwIfAborted();
      throw error;
    }
  },
};
