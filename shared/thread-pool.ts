import { stat } from "node:fs";

/**
 * Seen once: all threads of Node's pool slept while a job waited, such as a read of a file, until the next job came half an
 * hour later. It fits the wake-ups that glibc before 2.41 loses (https://sourceware.org/bugzilla/show_bug.cgi?id=25847), which
 * is not proven. A deployment that waits for one job alone would stand still, so from now on one comes every second. It keeps
 * no process from its end.
 */
export function wakeThreadPool(everyMs = 1000): Disposable {
  const timer = setInterval(() => stat("/", () => undefined), everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
