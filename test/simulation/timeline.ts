import type { Random } from "./random.ts";

interface Event {
  time: number;
  /** Decides between events of the same time. */
  tie: number;
  run: () => void;
  cancelled: boolean;
}

/**
 * Virtual time. Whatever takes time is an event in one queue: time jumps from event to event, and between two of them all
 * promises settle. So one seed decides how everything interleaves, and no real timer takes part.
 */
export class Timeline {
  /** Milliseconds since the beginning. */
  elapsed = 0;
  /** By how much somebody has set the wall clock off, in milliseconds. */
  wallOff = 0;
  /** When that was, by `elapsed`. */
  wallSetAt = Number.NEGATIVE_INFINITY;
  /** Called after each event, when everything that follows from it has happened. */
  onStep: () => void = () => {};
  steps = 0;
  readonly #random: Random;
  readonly #heap: Event[] = [];
  readonly #start = Date.parse("2026-11-21T10:00:00Z");

  constructor(random: Random) {
    this.#random = random;
  }

  /** Milliseconds since the epoch, as the host's clock has them. */
  get wall(): number {
    return this.#start + this.elapsed + this.wallOff;
  }

  /** @returns what cancels it */
  after(ms: number, run: () => void): () => void {
    const event: Event = { time: this.elapsed + Math.max(ms, 0), tie: this.#random.next(), run, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** Lets time pass until then, or until `stop` says so. */
  advance(until: number, stop: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        try {
          if (this.steps++ > 0) this.onStep();
          if (stop()) return resolve();
          const event = this.#pop(until);
          if (event === undefined) {
            this.elapsed = Math.max(this.elapsed, until);
            return resolve();
          }
          this.elapsed = event.time;
          event.run();
          next();
        } catch (thrown) {
          reject(thrown);
        }
      };
      // A tick that is asked for in a microtask comes after all microtasks.
      const next = () => queueMicrotask(() => process.nextTick(step));
      next();
    });
  }

  #pop(until: number): Event | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.time > until) return undefined;
      const last = this.#heap.pop() as Event;
      if (last !== first) this.#sink(last);
      if (!first.cancelled) return first;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (!before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #sink(event: Event): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!before(heap[child] as Event, event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = event;
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.tie < b.tie);
}
