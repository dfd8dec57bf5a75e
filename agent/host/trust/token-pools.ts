/** How many unexpired tokens are kept. */
export interface PoolLimits {
  /** Of one pool. More are refused. */
  pool: number;
  /** Of all pools together, beyond what is reserved for each. */
  total: number;
  /** For each pool, whatever the others have. */
  reserved: number;
}

/** How long expired tokens are kept: if the clock jumps ahead by less and is set right again, no good token is refused. */
export const clockSpareMs = 24 * 60 * 60_000;

export interface Pool {
  /** Of its name; empty for tokens that an earlier version wrote down without a pool. */
  readonly key: string;
  /** When each token expires, in milliseconds since the epoch, by the hash of its id. */
  readonly expiries: Map<string, number>;
  /** The latest expiry of the tokens that were forgotten when the pool was full. */
  forgotten: number;
}

/**
 * The used tokens in memory: those of each signer of each app are a pool, so that no signer can use up the room of another.
 * There are as many pools as the host's files trust signers.
 */
export class TokenPools {
  readonly #limits: PoolLimits;
  readonly #now: () => number;
  readonly #pools = new Map<string, Pool>();
  /** The latest expiry of the tokens that were forgotten long after it. */
  #forgotten = 0;

  constructor(limits: PoolLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    let size = 0;
    for (const { expiries } of this.#pools.values()) size += expiries.size;
    return size;
  }

  get forgotten(): number {
    return this.#forgotten;
  }

  /** @param pool whose tokens were forgotten; undefined for all. Those of the pool without a name may be anybody's */
  markForgotten(pool: Pool | undefined, expires: number): void {
    if (pool === undefined || pool.key === "") this.#forgotten = Math.max(this.#forgotten, expires);
    else pool.forgotten = Math.max(pool.forgotten, expires);
  }

  /** In a fixed order: that without a name first. */
  [Symbol.iterator](): Iterator<Pool> {
    return [...this.#pools.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)).values();
  }

  of(key: string): Pool {
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const pool = { key, expiries: new Map<string, number>(), forgotten: 0 };
    this.#pools.set(key, pool);
    return pool;
  }

  has(id: string): boolean {
    for (const { expiries } of this.#pools.values()) if (expiries.has(id)) return true;
    return false;
  }

  /** Whether a token with this expiry may be one of the forgotten ones. */
  mayBeForgotten(key: string, expires: number): boolean {
    return expires <= Math.max(this.#forgotten, this.#pools.get(key)?.forgotten ?? 0);
  }

  /** @returns the pool, if it has room for one more token, which the caller adds at once */
  withRoom(key: string): Pool | undefined {
    // It may be dropped meanwhile, if nothing is left in it.
    return this.#makeRoom(this.of(key)) ? this.of(key) : undefined;
  }

  /** Forgets what has expired long ago, and drops pools that have nothing left. */
  forgetExpired(): void {
    const before = this.#now() - clockSpareMs;
    for (const pool of this.#pools.values()) {
      this.markForgotten(undefined, forget(pool, before));
      if (pool.expiries.size > 0 || pool.forgotten >= before) continue;
      this.markForgotten(undefined, pool.forgotten);
      this.#pools.delete(pool.key);
    }
  }

  #makeRoom(pool: Pool): boolean {
    if (pool.expiries.size >= this.#limits.pool) this.forgetExpired();
    if (pool.expiries.size >= this.#limits.pool) this.#forgetAllExpired(pool);
    if (pool.expiries.size >= this.#limits.pool) return false;
    if (this.#mayGrow(pool)) return true;
    this.forgetExpired();
    // Who has the most gives up first what has expired.
    const pools = [...this.#pools.values()].toSorted((a, b) => b.expiries.size - a.expiries.size);
    for (const each of pools) if (!this.#mayGrow(pool)) this.#forgetAllExpired(each);
    return this.#mayGrow(pool);
  }

  #mayGrow({ expiries }: Pool): boolean {
    return expiries.size < this.#limits.reserved || this.size < this.#limits.total;
  }

  #forgetAllExpired(pool: Pool): void {
    this.markForgotten(pool, forget(pool, this.#now()));
  }
}

/** @returns the latest expiry of those that were forgotten; 0 if there were none */
function forget({ expiries }: Pool, before: number): number {
  let latest = 0;
  for (const [id, expires] of expiries) {
    if (expires >= before) continue;
    // Its line stays in the file until the next rewrite, which also writes the `forgotten` lines.
    expiries.delete(id);
    latest = Math.max(latest, expires);
  }
  return latest;
}
