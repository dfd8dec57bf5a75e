import {
  type CountedRequests,
  latencyBucket,
  noCounts,
  type Requests,
  type RunCounts,
} from "../../agent/contracts/requests.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { slotCount } from "../../shared/slots.ts";

/** A host whose nginx writes no lines of requests. */
export const noRequests: Requests = {
  read: async () => {},
  counted: (_app, { from, to = from }) => ({ from, to, readUntil: 0, absent: true, runs: [] }),
  totals: () => ({}),
  latest: () => ({}),
};

interface Move {
  at: number;
  /** How many of the slots each run has. */
  slots: Map<string, number>;
}

/** Visitors that come evenly, and go to each run by its slots: what nginx's lines would say of them. */
export class FakeVisitors implements Requests {
  /** Requests a second. */
  rate = 0;
  /** The share that fails, by run; none unless set. */
  readonly errors = new Map<string, number>();
  /** How long each answer takes, by run, in milliseconds; 80 unless set. */
  readonly latency = new Map<string, number>();
  /** Why nothing is certain. */
  gap: string | undefined;
  readonly #now: () => number;
  #moves: Move[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param effect `slots.swap <run>:<slots> ...`, as the host records it; others mean nothing here */
  moved(effect: string, at = this.#now()): void {
    if (!effect.startsWith("slots.swap ")) return;
    const shares = effect
      .split(" ")
      .slice(1)
      .map((share) => share.split(":"));
    this.#moves.push({ at, slots: new Map(shares.map(([run = "", slots]) => [run, Number(slots)])) });
  }

  async read(): Promise<void> {}

  counted(_app: string, { from, to = this.#now() }: { from: number; to?: number }): CountedRequests {
    const runs = new Set(this.#moves.flatMap(({ slots }) => [...slots.keys()]));
    return {
      ...{ from, to, readUntil: this.#now() },
      ...(this.gap !== undefined && { gap: this.gap }),
      ...(this.rate === 0 && { absent: true }),
      runs: [...runs].map((run) => this.#of(run, from, to)).filter(({ requests }) => requests > 0),
    };
  }

  #of(run: string, from: number, to: number): RunCounts {
    const seconds = this.#moves.map(({ at, slots }, index) => {
      const end = this.#moves[index + 1]?.at ?? Number.POSITIVE_INFINITY;
      const overlap = Math.max(0, Math.min(to, end) - Math.max(from, at)) / 1000;
      return (overlap * (slots.get(run) ?? 0)) / slotCount;
    });
    const requests = Math.round(this.rate * seconds.reduce((sum, each) => sum + each, 0));
    const failed = Math.round(requests * (this.errors.get(run) ?? 0));
    const counts = noCounts();
    counts.latency[latencyBucket(this.latency.get(run) ?? 80)] = requests;
    const classes = { ...counts.classes, "2xx": requests - failed, "5xx": failed };
    const failing = failed === 0 ? [] : [{ path: "/checkout", count: failed }];
    return { ...counts, run, release: releaseOfRun(run), requests, classes, failing };
  }

  totals() {
    return {};
  }

  latest() {
    return {};
  }
}
