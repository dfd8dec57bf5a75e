import { seededRandom } from "../harness/random.ts";

/** The same choices for the same seed, on every machine. */
export class Chance {
  readonly #part: () => number;

  /** @param seed any text: a run's seed and the number of the try */
  constructor(seed: string) {
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from(seed)) hash = Math.imul(hash ^ byte, 0x01000193);
    this.#part = seededRandom(hash);
  }

  /** A whole number below the limit. */
  below(limit: number): number {
    return Math.floor(this.#part() * limit);
  }

  one<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error("there is nothing to choose from");
    return choice;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
