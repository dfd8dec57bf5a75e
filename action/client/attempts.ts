import pRetry from "p-retry";
import { sleep, type Time } from "../runner/time.ts";
import { explain, isAway, mayHaveWorked } from "./agent-errors.ts";
import type { ClientTiming } from "./timing.ts";

export interface AttemptOptions {
  signal: AbortSignal;
  /** Whether another attempt may help, and does no harm. */
  repeat: (thrown: unknown) => boolean;
  /** The call does something on the host. */
  changes?: boolean;
  /** Called if an attempt failed that may have worked. */
  onUnsure?: () => void;
}

interface AttemptParts {
  /** For messages. */
  host: string;
  /** The agent has answered before. */
  known: boolean;
  timing: ClientTiming;
  time: Time;
}

/** Makes attempts at a call until one is answered, or until another one is of no use. @throws CutoverError */
export async function attempts<T>(
  attempt: () => Promise<T>,
  { signal, repeat, changes = false, onUnsure }: AttemptOptions,
  { host, known, timing, time }: AttemptParts,
): Promise<T> {
  const { retries, retriesWhenKnown, firstDelayMs, longestDelayMs } = timing;
  let unsure = false;
  try {
    return await pRetry(attempt, {
      retries: known ? retriesWhenKnown : retries,
      // The pause is ours: it uses the client's time.
      minTimeout: 0,
      onFailedAttempt: ({ error }) => {
        if (!changes || !mayHaveWorked(error)) return;
        unsure = true;
        onUnsure?.();
      },
      shouldRetry: async ({ error, attemptNumber }) => {
        if (!repeat(error) || (attemptNumber > retries && isAway(error))) return false;
        await sleep(time, Math.min(firstDelayMs * 2 ** (attemptNumber - 1), longestDelayMs), signal);
        return true;
      },
      signal,
    });
  } catch (thrown) {
    signal.throwIfAborted();
    throw explain(thrown, host, unsure);
  }
}
