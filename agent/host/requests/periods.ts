import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { periodSeconds } from "../nginx/request-log.ts";

const periodMs = periodSeconds * 1000;

/**
 * The files that tell nginx that its lines are read: one for the present period and one for the next. So it goes on while the
 * agent restarts, and stops after 100 to 200 seconds without an agent.
 */
export class Periods {
  readonly #directory: string;
  #made = -1;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Until when an earlier agent has allowed it, in milliseconds since the epoch; undefined if none has. */
  async allowedUntil(): Promise<number | undefined> {
    const numbers = (await this.#names()).map(Number);
    return numbers.length === 0 ? undefined : (Math.max(...numbers) + 1) * periodMs;
  }

  /** Called at least once in a period. */
  async allow(now: number): Promise<void> {
    const period = Math.floor(now / periodMs);
    if (period === this.#made) return;
    await mkdir(this.#directory, { recursive: true, mode: 0o755 });
    const wanted = [`${period}`, `${period + 1}`];
    for (const name of wanted) await writeFile(join(this.#directory, name), "", { mode: 0o644 });
    this.#made = period;
    for (const name of await this.#names()) if (!wanted.includes(name)) await rm(join(this.#directory, name));
  }

  /** nginx writes no more lines, until `allow` is called in another period. */
  async end(): Promise<void> {
    for (const name of await this.#names()) await rm(join(this.#directory, name), { force: true });
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter((name) => /^\d+$/.test(name));
  }
}
