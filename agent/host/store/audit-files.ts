import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseJson } from "../../../shared/plain-json.ts";
import { type AuditEntry, auditEntry } from "../../../shared/protocol.ts";
import type { AuditLog, AuditQuery } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { syncDirectory } from "./durable.ts";
import { linesOfFile } from "./file-lines.ts";

export interface AuditFilesOptions {
  /** The size of a file in bytes, from which on a new one is started. */
  bytes?: number;
  /** How many files of each series are kept, with the one that is written. */
  files?: number;
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Called if lines cannot be written. */
  onError?: (error: unknown) => void;
}

/**
 * The audit log as NDJSON below the data directory. Calls without a valid token go into files of their own: a flood of them
 * cannot push out who deployed what.
 */
export class AuditFiles implements AuditLog {
  readonly #accepted: Series;
  readonly #refused: Series;
  readonly #now: () => number;

  constructor(
    data: string,
    { bytes = 4 * 1024 ** 2, files = 4, now = Date.now, onError = () => {} }: AuditFilesOptions,
  ) {
    const common = { directory: join(data, "audit"), bytes, files, onError };
    this.#accepted = new Series({ ...common, name: "audit.ndjson" });
    this.#refused = new Series({ ...common, name: "refused.ndjson" });
    this.#now = now;
  }

  async record(entry: Omit<AuditEntry, "at">): Promise<void> {
    const line = `${JSON.stringify({ at: new Date(this.#now()).toISOString(), ...entry })}\n`;
    await (entry.by === undefined ? this.#refused : this.#accepted).append(line);
  }

  async read({ app, since = 0, limit }: AuditQuery): Promise<AuditEntry[]> {
    const wanted = (entry: AuditEntry) => (app === undefined || entry.app === app) && Date.parse(entry.at) >= since;
    const entries = [...(await this.#accepted.last(limit, wanted)), ...(await this.#refused.last(limit, wanted))];
    return entries.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at)).slice(-limit);
  }

  async close(): Promise<void> {
    await this.#accepted.close();
    await this.#refused.close();
  }
}

interface SeriesParts {
  directory: string;
  name: string;
  bytes: number;
  files: number;
  onError(error: unknown): void;
}

/** In bytes: how much a file may have beyond its size, since the lines that wait are written together. */
const largestBatch = 16 * 1024 ** 2;

/** How many lines may wait for the disk. More are dropped, and reported to onError. */
const longestQueue = 1000;

/** The file `name` and the older ones `name.1`, `name.2` and so on. Lines that come during a sync are written together. */
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
    // A line that comes while a batch is synced goes into the next batch, and waits for that.
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

  /** The last entries that are wanted, oldest first. Never all of the files at once in memory: each may have megabytes. */
  async last(limit: number, wanted: (entry: AuditEntry) => boolean): Promise<AuditEntry[]> {
    await this.#writing;
    const entries: AuditEntry[] = [];
    for (let number = this.#parts.files - 1; number >= 0; number--) {
      for await (const line of this.#lines(number)) {
        const { data } = auditEntry.safeParse(parseJson(line));
        if (data !== undefined && wanted(data)) entries.push(data);
        if (entries.length > 2 * limit) entries.splice(0, entries.length - limit);
      }
    }
    return entries.slice(-limit);
  }

  #lines(number: number): AsyncGenerator<string> {
    const { directory, bytes } = this.#parts;
    return linesOfFile(dirname(directory), this.#path(number), bytes + largestBatch);
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
      // There may be a torn line at the end now. Opening the file again ends it with a newline.
      await this.#handle?.close().catch(() => {});
      this.#handle = undefined;
    }
  }

  async #opened(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    const { directory } = this.#parts;
    await mkdir(directory, { recursive: true, mode: 0o750 });
    // Open for reading too: an agent that was killed may have left a torn line.
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
