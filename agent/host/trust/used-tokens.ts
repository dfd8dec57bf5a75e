import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { asCutoverError, CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { Spending, SpentTokens } from "../../contracts/token-stores.ts";
import { effect } from "../../effects.ts";

export interface SpentTokensOptions {
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** How many unexpired tokens are kept; a further one is refused. */
  limit?: number;
}

/** How long expired ones are kept: a clock that jumped ahead by less and is set right again refuses no other token. */
const clockSpareMs = 24 * 60 * 60_000;
/** Lines that may lie in the file beyond twice the unexpired ones before it is rewritten. */
const slack = 100;

/**
 * The tokens that were used, one `<expiry> <hash of the id>` a line. A line is on disk before `spend` returns, so a token
 * stays spent across a crash. Ids are hashed: a line has a fixed length and nothing of a caller's text gets into the file.
 * What has expired is forgotten, but not up to when: `forgotten <expiry>` is the last of those, and a token that expires no
 * later is refused. While the clock runs forward it has expired by then; where the clock was set back, it may be one of them.
 */
export class SpentTokensFile implements SpentTokens {
  readonly #file: string;
  readonly #now: () => number;
  readonly #limit: number;
  readonly #expiries = new Map<string, number>();
  #forgotten = 0;
  #handle: FileHandle | undefined;
  #lines = 0;
  readonly #queue = new SerialQueue();

  private constructor(file: string, { now = Date.now, limit = 100_000 }: SpentTokensOptions) {
    this.#file = file;
    this.#now = now;
    this.#limit = limit;
  }

  static async open(file: string, options: SpentTokensOptions = {}): Promise<SpentTokensFile> {
    const tokens = new SpentTokensFile(file, options);
    await mkdir(dirname(file), { recursive: true });
    await tokens.#load();
    // Where it cannot be written the agent starts all the same: the next token is refused unless it can be by then.
    await effect("token.rewrite", () => tokens.#rewrite()).catch(() => undefined);
    return tokens;
  }

  /** @param expires when the token can no longer be valid, in milliseconds since the epoch */
  async spend(jti: string, expires: number): Promise<Spending> {
    const id = createHash("sha256").update(jti).digest("base64url");
    if (this.#expiries.has(id)) return "spent";
    if (expires <= this.#forgotten) return "clock_behind";
    if (this.#expiries.size >= this.#limit) this.#forgetExpired();
    if (this.#expiries.size >= this.#limit) this.#forgetExpired(0);
    if (this.#expiries.size >= this.#limit) {
      throw new CutoverError("internal", `More than ${this.#limit} tokens were used within their lifetime.`, {
        unchanged: "Nothing was changed.",
        fix: "Find out who sends that many calls, then try again in ten minutes.",
      });
    }
    // Set before the write: of two calls at once with one token, the second is refused. It stays set if the write fails.
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

  /** @param spareMs how long past their end they are kept, so that a clock that is set back refuses the spent ones alone */
  #forgetExpired(spareMs = clockSpareMs): void {
    const now = this.#now() - spareMs;
    for (const [id, expires] of this.#expiries) {
      if (expires >= now) continue;
      // Its line stays in the file until the next rewrite, which writes the mark as well.
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
      // A torn line may lie at the end now; the next one starts from a rewritten file.
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
