import { stat } from "node:fs";

/**
 * The C library before glibc 2.41 loses a wake-up now and then (https://sourceware.org/bugzilla/show_bug.cgi?id=25847): then
 * all threads of Node's pool sleep while a job waits, such as a read of a file, until the next job comes. A deployment that
 * waits for that job alone would stand still, so from now on one comes every second. It keeps no process from its end.
 */
export function wakeThreadPool(everyMs = 1000): Disposable {
  const timer = setInterval(() => stat("/", () => undefined), everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
