import { open, readlink, stat } from "node:fs/promises";

/** What a running master says about a configuration that it tested well but cannot use, such as an address in use. */
export class ErrorLog {
  readonly #path: string;
  readonly #start: number;

  private constructor(path: string, start: number) {
    this.#path = path;
    this.#start = start;
  }

  /** nginx points its standard error at its error log; undefined where that is no file. */
  static async at(master: number): Promise<ErrorLog | undefined> {
    const path = await readlink(`/proc/${master}/fd/2`).catch(() => "");
    const status = await stat(path).catch(() => undefined);
    return status?.isFile() ? new ErrorLog(path, status.size) : undefined;
  }

  async complaint(): Promise<string | undefined> {
    const file = await open(this.#path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, this.#start);
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      // It tries five times, half a second apart, before it gives up.
      return lines.some((line) => line.includes("still could not bind()"))
        ? lines.filter((line) => line.includes("[emerg]")).join("\n")
        : lines.find((line) => line.includes("[emerg]") && !line.includes("bind()"));
    } finally {
      await file.close();
    }
  }
}
