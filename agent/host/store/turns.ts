import { setImmediate } from "node:timers/promises";

/** How much is done with synchronous calls before the event loop gets its turn: a few milliseconds. */
const turn = { files: 100, bytes: 4 * 1024 * 1024 } as const;

/** Synchronous calls are quick for one file. Thousands of them would block every other call until all are done. */
export class Turns {
  #files = 0;
  #bytes = 0;

  /** Called after each file. @returns what to await; undefined if this turn goes on */
  after(bytes = 0): Promise<void> | undefined {
    this.#files++;
    this.#bytes += bytes;
    if (this.#files < turn.files && this.#bytes < turn.bytes) return undefined;
    this.#files = 0;
    this.#bytes = 0;
    return setImmediate();
  }
}
