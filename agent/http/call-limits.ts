import { CutoverError } from "../../shared/errors.ts";
import { addressKey } from "./address-key.ts";

export interface CallLimits {
  calls_per_address: number;
  refusals_per_address: number;
}

export interface CallLimiterOptions {
  limits: CallLimits;
  /** Milliseconds that only go forward. */
  now?: () => number;
  /** How many addresses are remembered. A further one replaces the one that was silent for longest. */
  addresses?: number;
  keyOf?: (remote: string | undefined) => string | undefined;
}

/** What the limiter throws. The answer has the seconds as Retry-After. */
export class TooManyCalls extends CutoverError {
  readonly retryAfterSeconds: number;

  constructor(what: string, retryAfterSeconds: number) {
    super("too_many_calls", `${what} from this address.`, {
      unchanged: "Nothing was changed.",
      fix: `Try again in ${retryAfterSeconds} seconds. The limits are \`limits\` in the host's agent.yml.`,
    });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Counts calls and refused tokens by address, before anything else of a call is looked at. */
export class CallLimiter {
  readonly #calls: Buckets;
  readonly #refusals: Buckets;
  readonly #keyOf: (remote: string | undefined) => string | undefined;

  constructor({ limits, now = () => performance.now(), addresses = 10_000, keyOf = addressKey }: CallLimiterOptions) {
    const { calls_per_address: calls, refusals_per_address: refusals } = limits;
    // A job begins with several calls at once, so the calls of two seconds may come together.
    this.#calls = new Buckets({ size: 2 * calls, perSecond: calls, now, addresses });
    this.#refusals = new Buckets({ size: refusals, perSecond: refusals / 60, now, addresses });
    this.#keyOf = keyOf;
  }

  /** @throws TooManyCalls */
  admit(remote: string | undefined): void {
    const key = this.#keyOf(remote);
    const wait = key === undefined ? 0 : this.#calls.take(key);
    if (wait > 0) throw new TooManyCalls("Too many calls", wait);
  }

  /**
   * Called before a token is checked: it counts as refused until it proves good, so that many at once cannot slip through.
   * @returns a function that takes this back @throws TooManyCalls
   */
  tries(remote: string | undefined): () => void {
    const key = this.#keyOf(remote);
    if (key === undefined) return () => undefined;
    const wait = this.#refusals.take(key);
    if (wait > 0) throw new TooManyCalls("Too many refused tokens", wait);
    return () => this.#refusals.giveBack(key);
  }
}

interface BucketOptions {
  size: number;
  perSecond: number;
  now: () => number;
  addresses: number;
}

/** Token buckets: each starts full, and fills again at a steady rate. */
class Buckets {
  readonly #options: BucketOptions;
  readonly #levels = new Map<string, { level: number; at: number }>();

  constructor(options: BucketOptions) {
    this.#options = options;
  }

  /** @returns 0, or the seconds until there is a token to take */
  take(key: string): number {
    const { size, perSecond, now, addresses } = this.#options;
    const at = now();
    const before = this.#levels.get(key) ?? { level: size, at };
    const level = Math.min(size, before.level + ((at - before.at) * perSecond) / 1000);
    const left = level >= 1 ? level - 1 : level;
    // The newest goes to the end, so the first is the oldest.
    this.#levels.delete(key);
    this.#levels.set(key, { level: left, at });
    const [oldest] = this.#levels.keys();
    if (this.#levels.size > addresses && oldest !== undefined) this.#levels.delete(oldest);
    return level >= 1 ? 0 : Math.max(1, Math.ceil((1 - level) / perSecond));
  }

  giveBack(key: string): void {
    const known = this.#levels.get(key);
    if (known !== undefined) known.level = Math.min(this.#options.size, known.level + 1);
  }
}
