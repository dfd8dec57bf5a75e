/** How the job measures time and waits. A test puts its own in place. */
export interface Time {
  /** Milliseconds since some moment. It never goes back. */
  elapsed(): number;
  /**
   * Calls once after so many milliseconds.
   * @param ref whether the process stays alive for it
   * @returns what prevents the call
   */
  after(ms: number, call: () => void, ref?: boolean): () => void;
}

/** The time of this machine. */
export const realTime: Time = {
  elapsed: () => performance.now(),
  after(ms, call, ref = true) {
    const timer = setTimeout(call, ms);
    if (!ref) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** @throws the signal's reason as soon as it is aborted */
export function sleep(time: Time, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = time.after(ms, () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    const abort = () => {
      stop();
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}

/** A signal that is aborted after so many milliseconds. */
export function deadline(time: Time, ms: number): AbortSignal {
  const controller = new AbortController();
  const expire = () => controller.abort(new DOMException(`the limit of ${ms / 1000} s was reached`, "TimeoutError"));
  time.after(ms, expire, false);
  return controller.signal;
}

/** What `work` gives, or the signal's reason if that is aborted first. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    work.catch(() => undefined);
  }
}
