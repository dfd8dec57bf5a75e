import { type FileHandle, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../../shared/plain-json.ts";
import { type AuditEntry, auditEntry } from "../../../shared/protocol.ts";
import type { AuditLog, AuditQuery } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { syncDirectory } from "./durable.ts";

export interface AuditFilesOptions {
  /** Bytes of a file, after which a new one is begun. */
  bytes?: number;
  /** How many files there are of each series, the one that is written among them. */
  files?: number;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Told when lines could not be written. */
  onError?: (error: unknown) => void;
}

/**
 * The audit log as NDJSON below the data directory. What callers without a valid token ask for goes into files of its own:
 * whoever floods those cannot push out who deployed what.
 */
export class AuditFiles implements AuditLog {
  readonly #known: Series;
  readonly #strangers: Series;
  readonly #now: () => number;

  constructor(
    data: string,
    { bytes = 4 * 1024 ** 2, files = 4, now = Date.now, onError = () => {} }: AuditFilesOptions,
  ) {
    const common = { directory: join(data, "audit"), bytes, files, onError };
    this.#known = new Series({ ...common, name: "audit.ndjson" });
    this.#strangers = new Series({ ...common, name: "refused.ndjson" });
    this.#now = now;
  }

  async record(entry: Omit<AuditEntry, "at">): Promise<void> {
    const line = `${JSON.stringify({ at: new Date(this.#now()).toISOString(), ...entry })}\n`;
    await (entry.by === undefined ? this.#strangers : this.#known).append(line);
  }

  async read({ app, since = 0, limit }: AuditQuery): Promise<AuditEntry[]> {
    const entries = [...(await this.#known.read()), ...(await this.#strangers.read())];
    return entries
      .filter((entry) => (app === undefined || entry.app === app) && Date.parse(entry.at) >= since)
      .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))
      .slice(-limit);
  }

  async close(): Promise<void> {
    await this.#known.close();
    await this.#strangers.close();
  }
}

interface SeriesParts {
  directory: string;
  name: string;
  bytes: number;
  files: number;
  onError(error: unknown): void;
}

/** Lines that wait for the disk at most; what comes beyond that is dropped, and said to be. */
const longestQueue = 1000;

/** `name`, and before it `name.1`, `name.2` and so on. Lines that come while others are synced are written together. */
class Series {
  readonly #parts: SeriesParts;
  #handle: FileHandle | undefined;
  #size = 0;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;

  constructor(parts: SeriesParts) {
    this.#parts = parts;
  }

  append(line: string): Promise<void> {
    if (this.#waiting.length >= longestQueue) {
      this.#parts.onError(new Error("lines of the audit log are dropped: the disk is too slow for them"));
      return Promise.resolve();
    }
    this.#waiting.push(line);
    // Whoever comes while a batch is synced waits for the batch after it, of which it is a part.
    const before = this.#writing;
    if (before === undefined || this.#waiting.length === 1) {
      const batch = (before ?? Promise.resolve()).then(() => this.#write());
      this.#writing = batch;
      void batch.then(() => {
        if (this.#writing === batch) this.#writing = undefined;
      });
    }
    return this.#writing ?? Promise.resolve();
  }

  async read(): Promise<AuditEntry[]> {
    await this.#writing;
    const entries: AuditEntry[] = [];
    for (let number = this.#parts.files - 1; number >= 0; number--) {
      const text = await readFile(this.#path(number), "utf8").catch(() => "");
      entries.push(...text.split("\n").flatMap((line) => auditEntry.safeParse(parseJson(line)).data ?? []));
    }
    return entries;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #write(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    try {
      const bytes = Buffer.from(lines.join(""));
      if (this.#handle !== undefined && this.#size > 0 && this.#size + bytes.length > this.#parts.bytes) {
        await effect("audit.rotate", () => this.#rotate());
      }
      const handle = await this.#opened();
      await effect("audit.append", async () => {
        for (let offset = 0; offset < bytes.length; ) {
          offset += (await handle.write(bytes, offset)).bytesWritten;
        }
        this.#size += bytes.length;
        await handle.datasync();
      });
    } catch (error) {
      this.#parts.onError(error);
      // A torn line may lie at the end now: opening the file again closes it.
      await this.#handle?.close().catch(() => {});
      this.#handle = undefined;
    }
  }

  async #opened(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    const { directory } = this.#parts;
    await mkdir(directory, { recursive: true, mode: 0o750 });
    // Read as well, to see how the last life of the agent left it.
    const handle = await effect("audit.open", () => open(this.#path(0), "a+", 0o640));
    try {
      await handle.chmod(0o640);
      const { size } = await handle.stat();
      this.#size = size;
      const last = Buffer.alloc(1);
      if (size > 0) await handle.read(last, 0, 1, size - 1);
      if (size > 0 && last.toString() !== "\n") this.#size += (await handle.write("\n")).bytesWritten;
      await syncDirectory(directory);
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#handle = handle;
    return handle;
  }

  async #rotate(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    for (let number = this.#parts.files - 2; number >= 0; number--) {
      await rename(this.#path(number), this.#path(number + 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
  }

  #path(number: number): string {
    return join(this.#parts.directory, number === 0 ? this.#parts.name : `${this.#parts.name}.${number}`);
  }
}
