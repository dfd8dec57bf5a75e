import { CutoverError } from "../../shared/errors.ts";

/** When a job has to end. */
export interface Cancellation {
  /** Aborted if a person cancels the job, or if its time is over. */
  signal: AbortSignal;
  /** Aborted if a person cancels the job, also after its time is over. */
  cancelled: AbortSignal;
  /** Removes the handlers. */
  release(): void;
}

/**
 * GitHub sends a cancelled job SIGINT, sends SIGTERM 7.5 s later, and kills it after another 2.5 s. The second signal
 * changes nothing, so that the aborts can still reach the hosts.
 */
export function cancellation(timeoutMs: number): Cancellation {
  const all = new AbortController();
  const byPerson = new AbortController();
  const cancel = () => {
    all.abort(cancelledError());
    byPerson.abort(all.signal.reason);
  };
  process.on("SIGINT", cancel);
  process.on("SIGTERM", cancel);
  const timer = setTimeout(() => all.abort(timedOutError(timeoutMs)), timeoutMs);
  const release = () => {
    clearTimeout(timer);
    process.off("SIGINT", cancel);
    process.off("SIGTERM", cancel);
  };
  return { signal: all.signal, cancelled: byPerson.signal, release };
}

export function cancelledError(): CutoverError {
  return new CutoverError("aborted", "The job was cancelled.", {
    unchanged: "What had not cut over was aborted; the result shows the outcome on each host.",
    fix: "Run the job again when you are ready.",
  });
}

export function timedOutError(timeoutMs: number): CutoverError {
  return new CutoverError("timed_out", `The limit of ${timeoutMs / 1000} s was reached.`, {
    unchanged: "What the job had begun was undone as far as possible; the result shows the outcome on each host.",
    fix: "Look in the log for the phase that took the time. If it may take that long, raise the input timeout.",
  });
}
