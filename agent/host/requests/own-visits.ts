import { randomBytes } from "node:crypto";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Others may pass through, as nginx's workers do, and nobody else may list it. */
const mode = 0o711;

/**
 * What tells nginx that a request is the agent's own, and no visitor's: while one is under way, a file of a name that nobody
 * can guess is here, and the request says that name in a header. nginx takes the header away, so no app learns a name.
 */
export class OwnVisits {
  readonly #directory: string;
  #ready: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Where the file cannot be made, for example on a full disk, the request counts as a visitor's. */
  async during<T>(request: (word: string) => Promise<T>): Promise<T> {
    const word = randomBytes(16).toString("hex");
    const file = join(this.#directory, word);
    try {
      await this.#prepare();
      await writeFile(file, "", { mode: 0o644, flag: "wx" });
    } catch {
      this.#ready = undefined;
    }
    try {
      return await request(word);
    } finally {
      await rm(file, { force: true }).catch(() => undefined);
    }
  }

  /** What an agent that was killed has left goes. */
  #prepare(): Promise<void> {
    this.#ready ??= (async () => {
      await rm(this.#directory, { recursive: true, force: true });
      await mkdir(this.#directory, { recursive: true });
      await chmod(this.#directory, mode);
    })();
    return this.#ready;
  }
}
