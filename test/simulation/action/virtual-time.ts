import type { Time } from "../../../action/runner/time.ts";

interface Timer {
  at: number;
  call: () => void;
}

/** Time that passes only when nothing else is left to do. */
export class VirtualTime implements Time {
  #now = 0;
  #timers: Timer[] = [];

  elapsed(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Lets time pass until the work has ended. @throws Error if nothing is left that could end it */
  async until(work: Promise<unknown>, limitMs: number): Promise<void> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    for (;;) {
      // All that promises do comes before this.
      await new Promise((resolve) => setImmediate(resolve));
      if (ended) return;
      const next = this.#timers.reduce<Timer | undefined>(
        (first, each) => (first === undefined || each.at < first.at ? each : first),
        undefined,
      );
      if (next === undefined) throw new Error("nothing is left to wait for, and the job has not ended");
      if (next.at > limitMs) throw new Error(`the job has not ended after ${limitMs / 1000} s`);
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#now = next.at;
      next.call();
    }
  }
}
