import { CutoverError } from "../../shared/errors.ts";

/**
 * A signal that is aborted when the job is cancelled or its time is over. A cancelled job gets SIGINT, SIGTERM 7.5 s
 * later, and is killed after another 2.5 s; the second signal changes nothing, so that the aborts sent to the hosts can
 * get through.
 * @returns the signal, and what takes the handlers away again
 */
export function cancellation(timeoutMs: number): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(
      new CutoverError("aborted", "The job was cancelled.", {
        unchanged: "What had not cut over was aborted; the result tells how each host came out.",
        fix: "Run it again when it suits.",
      }),
    );
  const expire = () =>
    controller.abort(
      new CutoverError("timed_out", `The limit of ${timeoutMs / 1000} s was reached.`, {
        unchanged: "What had not cut over was aborted; the result tells how each host came out.",
        fix: "See in the log which phase took the time; raise the input timeout if it may take that long.",
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
