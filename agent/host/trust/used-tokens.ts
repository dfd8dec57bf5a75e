import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { asCutoverError, CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { SpendResult, UsedTokens } from "../../contracts/token-stores.ts";
import { effect } from "../../effects.ts";
import { readSafelyIfExists } from "../store/safe-read.ts";
import { type Pool, type PoolLimits, TokenPools } from "./token-pools.ts";

export interface UsedTokensOptions {
  /** Milliseconds since the epoch. */
  now?: () => number;
  limits?: Partial<PoolLimits>;
}

const defaultLimits: PoolLimits = { pool: 10_000, total: 100_000, reserved: 1000 };
/** In bytes: twice what the limits allow, for a thousand pools. */
const largestFile = 256 * 1024 ** 2;
/** The file is rewritten when it has this many tokens more than twice those that are kept. */
const slack = 100;
/** Stands in the file for the key of the pool without a name. */
const noKey = "none";

/**
 * The used tokens, one `<expiry> <hash of the id>` on each line, after a line `pool <key>` unless they are in the same pool as
 * those before. A line is on disk before `spend` returns, so a token stays spent across a crash. Ids are hashed: a line has a
 * fixed length, and nothing that a caller wrote gets into the file. Expired tokens are forgotten, but the file remembers until
 * when: `forgotten <expiry>` is the latest of them, before the first pool's line for all of them, after it for that pool. A
 * token that does not expire later is refused. While the clock runs forward it has expired anyway. If the clock was set back,
 * it may be one of the forgotten ones. An agent that knows no pools reads the same tokens.
 */
export class UsedTokensFile implements UsedTokens {
  readonly #file: string;
  readonly #pools: TokenPools;
  #handle: FileHandle | undefined;
  /** Tokens in the file, and the pool of the last one. */
  #written = 0;
  #lastPool = "";
  readonly #queue = new SerialQueue();

  private constructor(file: string, { now = Date.now, limits = {} }: UsedTokensOptions) {
    this.#file = file;
    this.#pools = new TokenPools({ ...defaultLimits, ...limits }, now);
  }

  static async open(file: string, options: UsedTokensOptions = {}): Promise<UsedTokensFile> {
    const tokens = new UsedTokensFile(file, options);
    await mkdir(dirname(file), { recursive: true });
    await tokens.#load();
    // If it cannot be written, the agent still starts. The next token is refused if that has not changed by then.
    await effect("token.rewrite", () => tokens.#rewrite()).catch(() => undefined);
    return tokens;
  }

  async spend(jti: string, expires: number, poolName = ""): Promise<SpendResult> {
    const id = createHash("sha256").update(jti).digest("base64url");
    if (this.#pools.has(id)) return "spent";
    const key = keyOf(poolName);
    if (this.#pools.mayBeForgotten(key, expires)) return "clock_behind";
    const pool = this.#pools.withRoom(key);
    if (pool === undefined) {
      throw new CutoverError("internal", "A signer has used more tokens within their lifetime than are kept for it.", {
        unchanged: "Nothing was changed.",
        fix: "Find out who sends so many calls for the app, then try again in ten minutes.",
      });
    }
    // Before the write: of two calls at once with one token, the second is refused. It stays if the write fails.
    pool.expiries.set(id, expires);
    await this.#queue.run(() => effect("token.spend", () => this.#record(pool, id, expires)));
    return "recorded";
  }

  async close(): Promise<void> {
    await this.#queue.idle();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #load(): Promise<void> {
    const text = (await readSafelyIfExists(dirname(this.#file), this.#file, largestFile)) ?? "";
    let pool: Pool | undefined;
    for (const line of text.split("\n")) pool = this.#take(line, pool);
  }

  /** @param pool that of the lines before; undefined before the first @returns that of the lines after */
  #take(line: string, pool: Pool | undefined): Pool | undefined {
    const [, key] = /^pool ([A-Za-z0-9_-]{1,43})$/.exec(line) ?? [];
    if (key !== undefined) return this.#pools.of(key === noKey ? "" : key);
    const [, expires, id] = /^(\d{1,16}) ([A-Za-z0-9_-]{43})$/.exec(line) ?? [];
    if (id !== undefined) (pool ?? this.#pools.of("")).expiries.set(id, Number(expires));
    const [, forgotten] = /^forgotten (\d{1,16})$/.exec(line) ?? [];
    if (forgotten !== undefined) this.#pools.markForgotten(pool, Number(forgotten));
    return pool;
  }

  async #record(pool: Pool, id: string, expires: number): Promise<void> {
    try {
      if (this.#handle === undefined || this.#written > 2 * this.#pools.size + slack) {
        await this.#rewrite();
        return;
      }
      const text = `${pool.key === this.#lastPool ? "" : poolLine(pool)}${expires} ${id}\n`;
      const { bytesWritten } = await this.#handle.write(text);
      if (bytesWritten !== text.length) throw new Error("short write");
      await this.#handle.datasync();
      this.#lastPool = pool.key;
      this.#written += 1;
      if (this.#written % slack === 0) this.#pools.forgetExpired();
    } catch (error) {
      // There may be a torn line at the end now, so the next call rewrites the file.
      await this.#handle?.close().catch(() => undefined);
      this.#handle = undefined;
      throw asCutoverError(error);
    }
  }

  async #rewrite(): Promise<void> {
    this.#pools.forgetExpired();
    await this.#handle?.close();
    this.#handle = undefined;
    const temporary = `${this.#file}.new`;
    const handle = await open(temporary, "w", 0o600);
    try {
      const { text, tokens, lastPool } = fileOf(this.#pools);
      await handle.writeFile(text);
      await handle.sync();
      await rename(temporary, this.#file);
      await syncDirectory(dirname(this.#file));
      this.#written = tokens;
      this.#lastPool = lastPool;
      this.#handle = handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

function fileOf(pools: TokenPools): { text: string; tokens: number; lastPool: string } {
  const lines = [mark(pools.forgotten)];
  let [tokens, lastPool] = [0, ""];
  for (const pool of pools) {
    lines.push(pool.key === lastPool && pool.forgotten === 0 ? "" : poolLine(pool), mark(pool.forgotten));
    for (const [id, expires] of pool.expiries) lines.push(`${expires} ${id}\n`);
    tokens += pool.expiries.size;
    lastPool = pool.key;
  }
  return { text: lines.join(""), tokens, lastPool };
}

function mark(forgotten: number): string {
  return forgotten === 0 ? "" : `forgotten ${forgotten}\n`;
}

function poolLine({ key }: Pool): string {
  return `pool ${key === "" ? noKey : key}\n`;
}

/** Of a fixed length, whatever the name is. 96 bits. */
function keyOf(poolName: string): string {
  return poolName === "" ? "" : createHash("sha256").update(poolName).digest("base64url").slice(0, 16);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
