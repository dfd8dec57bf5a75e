import type { DeploymentEvent } from "../../shared/protocol.ts";
import type { EventFiles } from "../contracts/ports.ts";

/** What an event is before it has its number. */
type Unnumbered = DeploymentEvent extends infer E ? (E extends DeploymentEvent ? Omit<E, "id"> : never) : never;

/**
 * How much of a deployment's events stays in memory, in UTF-16 units of their JSON: for who follows them closely, and for
 * everybody while they cannot be written.
 */
const recentLimit = 64 * 1024;

interface EventLogParts {
  files: EventFiles;
  app: string;
  deployment: string;
  /** The number of the last event from before the agent was restarted; 0 if there is none. */
  last: number;
}

/**
 * The events of one deployment: on disk, and the most recent ones in memory too. A follower gets what is no longer in memory
 * from the file. If that could not be written, for example on a full disk, followers who are slower than the deployment miss
 * events; the last event is never missed.
 */
export class EventLog {
  readonly #parts: EventLogParts;
  /** Numbered without gaps, up to `#last`. */
  readonly #recent: { event: DeploymentEvent; size: number }[] = [];
  #size = 0;
  #last: number;
  #ended = false;
  #followers = 0;
  /** Only the last event is kept, once nobody follows. */
  #forgetting = false;
  readonly #waiting = new Set<() => void>();

  constructor(parts: EventLogParts) {
    this.#parts = parts;
    this.#last = parts.last;
  }

  append(unnumbered: Unnumbered): void {
    const { files, app, deployment } = this.#parts;
    this.#last += 1;
    const event: DeploymentEvent = { ...unnumbered, id: this.#last };
    files.append(app, deployment, event);
    this.#ended = event.type === "end";
    const size = JSON.stringify(event).length;
    this.#recent.push({ event, size });
    this.#size += size;
    while (this.#size > recentLimit && this.#recent.length > 1) this.#size -= this.#recent.shift()?.size ?? 0;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Events with a number above `after`, until the last event or until the signal. */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    let seen = after;
    this.#followers++;
    try {
      while (!signal.aborted) {
        const first = this.#last + 1 - this.#recent.length;
        if (seen >= this.#last) {
          if (this.#ended) return;
          await this.#change(signal);
        } else if (seen + 1 < first) {
          yield* this.#written(seen, first, signal);
          seen = first - 1;
        } else {
          seen += 1;
          const next = this.#recent[seen - first];
          if (next !== undefined) yield next.event;
        }
      }
    } finally {
      this.#followers--;
      if (this.#forgetting) this.forget();
    }
  }

  /** Resolves when the last event is the one that says how the deployment ended, or at the signal. */
  async settled(signal: AbortSignal): Promise<void> {
    while (!this.#ended && !signal.aborted) await this.#change(signal);
  }

  /** Frees the memory of a deployment that has ended, once nobody follows it. Its last event stays, which says how it ended. */
  forget(): void {
    this.#forgetting = this.#followers > 0;
    if (this.#forgetting || !this.#ended) return;
    this.#recent.splice(0, this.#recent.length - 1);
    this.#size = this.#recent[0]?.size ?? 0;
  }

  /** From the file: those after `seen` and before `end`. */
  async *#written(seen: number, end: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    const { files, app, deployment } = this.#parts;
    for await (const event of files.read(app, deployment, seen)) {
      if (event.id >= end || signal.aborted) return;
      yield event;
    }
  }

  /** Until the next event, or the signal. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

/** The number of the last event that an earlier agent wrote; 0 if there is none. */
export async function lastWritten(files: EventFiles, app: string, deployment: string): Promise<number> {
  let last = 0;
  for await (const { id } of files.read(app, deployment)) last = id;
  return last;
}
