import { stat } from "node:fs";

/**
 * Seen once: all threads of Node's pool slept while a job waited (such as a read of a file), until the next job came
 * half an hour later. glibc before 2.41 can lose wake-ups (https://sourceware.org/bugzilla/show_bug.cgi?id=25847); that
 * this was the cause is not proven. A deployment that waits for a single job would hang, so from now on a job comes
 * every second. It does not keep the process alive.
 */
export function wakeThreadPool(everyMs = 1000): Disposable {
  const timer = setInterval(() => stat("/", () => undefined), everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
