import type { RequestsView } from "../../shared/protocol.ts";

/** What visitors saw at one time, for a chart. */
export interface Sample {
  /** Milliseconds since the epoch. */
  at: number;
  view: RequestsView;
}

export const sampleMs = 2000;
/** How far a chart looks back. */
export const chartMs = 5 * 60_000;
/** The time that one sample counts, in seconds, as in `cutover top`. */
const windowSeconds = 10;

export interface SampleSource {
  /** Whose visitors are counted. */
  apps(): Promise<string[]>;
  /** What visitors saw in the last seconds; undefined if nothing is counted for this app. */
  requests(app: string, seconds: number): Promise<RequestsView | undefined>;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Asks for all apps every two seconds, so that a chart is there when the page is opened. */
export class Samples {
  readonly #source: SampleSource;
  readonly #byApp = new Map<string, Sample[]>();

  constructor(source: SampleSource) {
    this.#source = source;
  }

  of(app: string): Sample[] {
    return this.#byApp.get(app) ?? [];
  }

  latest(app: string): RequestsView | undefined {
    return this.of(app).at(-1)?.view;
  }

  /** Until the signal. An agent that does not answer leaves a gap. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.take().catch(() => undefined);
      await waitFor(sampleMs, signal);
    }
  }

  /** @throws CutoverError as the agent's calls do */
  async take(): Promise<void> {
    for (const app of await this.#source.apps()) {
      const view = await this.#source.requests(app, windowSeconds);
      const at = this.#source.now();
      const kept = this.of(app).filter((sample) => sample.at > at - chartMs);
      this.#byApp.set(app, view === undefined ? kept : [...kept, { at, view }]);
    }
  }
}

function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  return promise.finally(() => clearTimeout(timer));
}
