import { CutoverError } from "../../shared/errors.ts";

/**
 * A signal that is aborted when the job is cancelled or its time is over. GitHub sends a cancelled job SIGINT, sends
 * SIGTERM 7.5 s later, and kills it after another 2.5 s. The second signal changes nothing, so that the aborts can
 * still reach the hosts.
 * @returns the signal, and `release`, which removes the handlers
 */
export function cancellation(timeoutMs: number): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(
      new CutoverError("aborted", "The job was cancelled.", {
        unchanged: "What had not cut over was aborted; the result shows the outcome on each host.",
        fix: "Run the job again when you are ready.",
      }),
    );
  const expire = () =>
    controller.abort(
      new CutoverError("timed_out", `The limit of ${timeoutMs / 1000} s was reached.`, {
        unchanged: "What had not cut over was aborted; the result shows the outcome on each host.",
        fix: "Look in the log for the phase that took the time. If it may take that long, raise the input timeout.",
      }),
    );
  process.on("SIGINT", cancel);
  process.on("SIGTERM", cancel);
  const timer = setTimeout(expire, timeoutMs);
  const release = () => {
    clearTimeout(timer);
    process.off("SIGINT", cancel);
    process.off("SIGTERM", cancel);
  };
  return { signal: controller.signal, release };
}
