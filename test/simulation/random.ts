/** Chance that one number decides. The same seed gives the same sequence on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: 32 bits of state are enough for histories of some thousand decisions. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  int(below: number): number {
    return this.next() % below;
  }

  chance(share: number): boolean {
    return this.next() < share * 2 ** 32;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }
}

/**
 * One sequence for each name. A shorter history asks some names less often; what is decided under the other names stays
 * the same, so that a failure survives the shortening.
 */
export class Chances {
  readonly #seed: number;
  readonly #named = new Map<string, Random>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  of(name: string): Random {
    let random = this.#named.get(name);
    if (random === undefined) {
      random = new Random(hash(name, this.#seed));
      this.#named.set(name, random);
    }
    return random;
  }
}

/** FNV-1a. */
function hash(text: string, seed: number): number {
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
}
