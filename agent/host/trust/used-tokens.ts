import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { asCutoverError, CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { SpendResult, UsedTokens } from "../../contracts/token-stores.ts";
import { effect } from "../../effects.ts";

export interface UsedTokensOptions {
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** How many unexpired tokens are kept. More are refused. */
  limit?: number;
}

/** How long expired tokens are kept: if the clock jumps ahead by less and is set right again, no good token is refused. */
const clockSpareMs = 24 * 60 * 60_000;
/** The file is rewritten when it has this many lines more than twice the unexpired tokens. */
const slack = 100;

/**
 * The used tokens, one `<expiry> <hash of the id>` on each line. A line is on disk before `spend` returns, so a token stays
 * spent across a crash. Ids are hashed: a line has a fixed length, and nothing that a caller wrote gets into the file.
 * Expired tokens are forgotten, but the file remembers until when: `forgotten <expiry>` is the latest of them, and a token
 * that does not expire later is refused. While the clock runs forward it has expired anyway. If the clock was set back, it may
 * be one of the forgotten ones.
 */
export class UsedTokensFile implements UsedTokens {
  readonly #file: string;
  readonly #now: () => number;
  readonly #limit: number;
  readonly #expiries = new Map<string, number>();
  #forgotten = 0;
  #handle: FileHandle | undefined;
  #lines = 0;
  readonly #queue = new SerialQueue();

  private constructor(file: string, { now = Date.now, limit = 100_000 }: UsedTokensOptions) {
    this.#file = file;
    this.#now = now;
    this.#limit = limit;
  }

  static async open(file: string, options: UsedTokensOptions = {}): Promise<UsedTokensFile> {
    const tokens = new UsedTokensFile(file, options);
    await mkdir(dirname(file), { recursive: true });
    await tokens.#load();
    // If it cannot be written, the agent still starts. The next token is refused if that has not changed by then.
    await effect("token.rewrite", () => tokens.#rewrite()).catch(() => undefined);
    return tokens;
  }

  async spend(jti: string, expires: number): Promise<SpendResult> {
    const id = createHash("sha256").update(jti).digest("base64url");
    if (this.#expiries.has(id)) return "spent";
    if (expires <= this.#forgotten) return "clock_behind";
    if (this.#expiries.size >= this.#limit) this.#forgetExpired();
    if (this.#expiries.size >= this.#limit) this.#forgetExpired(0);
    if (this.#expiries.size >= this.#limit) {
      throw new CutoverError("internal", `More than ${this.#limit} tokens were used within their lifetime.`, {
        unchanged: "Nothing was changed.",
        fix: "Find out who sends so many calls, then try again in ten minutes.",
      });
    }
    // Before the write: of two calls at once with one token, the second is refused. It stays if the write fails.
    this.#expiries.set(id, expires);
    await this.#queue.run(() => effect("token.spend", () => this.#record(id, expires)));
    return "recorded";
  }

  async close(): Promise<void> {
    await this.#queue.idle();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #load(): Promise<void> {
    const text = await readFile(this.#file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    for (const line of text.split("\n")) {
      const [, expires, id] = /^(\d{1,16}) ([A-Za-z0-9_-]{43})$/.exec(line) ?? [];
      if (id !== undefined) this.#expiries.set(id, Number(expires));
      const [, forgotten] = /^forgotten (\d{1,16})$/.exec(line) ?? [];
      if (forgotten !== undefined) this.#forgotten = Math.max(this.#forgotten, Number(forgotten));
    }
  }

  /** @param spareMs how long after their expiry tokens are kept */
  #forgetExpired(spareMs = clockSpareMs): void {
    const now = this.#now() - spareMs;
    for (const [id, expires] of this.#expiries) {
      if (expires >= now) continue;
      // Its line stays in the file until the next rewrite, which also writes the `forgotten` line.
      this.#expiries.delete(id);
      this.#forgotten = Math.max(this.#forgotten, expires);
    }
  }

  async #record(id: string, expires: number): Promise<void> {
    try {
      if (this.#handle === undefined || this.#lines > 2 * this.#expiries.size + slack) {
        await this.#rewrite();
        return;
      }
      const line = `${expires} ${id}\n`;
      const { bytesWritten } = await this.#handle.write(line);
      if (bytesWritten !== line.length) throw new Error("short write");
      await this.#handle.datasync();
      this.#lines += 1;
      if (this.#lines % slack === 0) this.#forgetExpired();
    } catch (error) {
      // There may be a torn line at the end now, so the next call rewrites the file.
      await this.#handle?.close().catch(() => undefined);
      this.#handle = undefined;
      throw asCutoverError(error);
    }
  }

  async #rewrite(): Promise<void> {
    this.#forgetExpired();
    await this.#handle?.close();
    this.#handle = undefined;
    const temporary = `${this.#file}.new`;
    const handle = await open(temporary, "w", 0o600);
    try {
      const lines = [...this.#expiries].map(([id, expires]) => `${expires} ${id}\n`);
      const mark = this.#forgotten === 0 ? "" : `forgotten ${this.#forgotten}\n`;
      await handle.writeFile(mark + lines.join(""));
      await handle.sync();
      await rename(temporary, this.#file);
      await syncDirectory(dirname(this.#file));
      this.#lines = lines.length;
      this.#handle = handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
