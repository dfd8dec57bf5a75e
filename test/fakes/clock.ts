import { setImmediate } from "node:timers/promises";

/** A clock that only moves when somebody sleeps. */
export class FakeClock {
  /** Milliseconds, as Date.now() counts them. */
  now = Date.parse("2026-11-21T10:00:00Z");
  #sleepers: { until: number; wake: () => void }[] = [];

  /** Polls of under ten seconds move the clock; whoever sleeps longer wakes when they have moved it far enough. */
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const until = this.now + ms;
    this.#sleepers.push({ until, wake: resolve });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (ms < 10_000) void setImmediate().then(() => this.#moveTo(until));
    return promise;
  }

  #moveTo(time: number): void {
    this.now = Math.max(this.now, time);
    for (const { until, wake } of this.#sleepers) if (until <= this.now) wake();
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.now);
  }
}
