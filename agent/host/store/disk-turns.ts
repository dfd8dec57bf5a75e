import { CutoverError } from "../../../shared/errors.ts";

/**
 * Limits how many pieces of work wait for a disk at the same time, and for how long somebody waits for one. A read of a device
 * that does not answer cannot be ended: it holds a thread of the pool, which has four, until the device answers. So work that
 * hangs keeps its turn when its caller has given up, and the threads that have no turn stay free for everything else.
 */
export class DiskTurns {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * @param what for the message: what is read
   * @param ms for the wait for a turn and the work together
   * @throws CutoverError internal after that time, and what the work throws
   */
  async run<T>(what: string, ms: number, work: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(tooLate(what, ms)), ms);
    try {
      await this.#turn(late.promise);
      const done = work().finally(() => this.#end());
      // Nobody waits for it any more after the time.
      done.catch(() => undefined);
      return await Promise.race([done, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #turn(late: Promise<never>): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await Promise.race([promise, late]);
    } catch (thrown) {
      // The turn may have come in the same moment.
      if (!this.#waiting.delete(resolve)) this.#end();
      throw thrown;
    }
  }

  #end(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

function tooLate(what: string, ms: number): CutoverError {
  return new CutoverError("internal", `${what} could not be read within ${ms / 1000} seconds.`, {
    unchanged: "Nothing was changed.",
    fix: "See what the disk does that holds it: `dmesg`, `iostat`, the state of a network file system.",
  });
}
