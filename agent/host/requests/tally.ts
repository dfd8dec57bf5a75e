import { z } from "zod";
import {
  type Counts,
  type FailingPath,
  latencyBounds,
  noCounts,
  type StatusClass,
  statusClasses,
} from "../../contracts/requests.ts";
import { latencyOf, type RequestLine } from "./request-line.ts";

/** How many different paths are told apart; what fails at other paths still counts. */
const mostPaths = 50;

export const savedTally = z.object({
  /** Requests by class. */
  c: z.array(z.number()).length(statusClasses.length),
  /** Latencies: pairs of bucket and count. */
  l: z.array(z.tuple([z.number().int().min(0).max(latencyBounds.length), z.number()])),
  s: z.number(),
  b: z.number(),
  p: z.array(z.tuple([z.string(), z.number()])).optional(),
});
export type SavedTally = z.infer<typeof savedTally>;

/** Counts of requests, small in memory. */
export class Tally {
  readonly #classes = new Uint32Array(statusClasses.length);
  readonly #latency = new Uint32Array(latencyBounds.length + 1);
  #latencySum = 0;
  #bytes = 0;
  #failing: Map<string, number> | undefined;

  add(line: RequestLine): void {
    const group = classOf(line.status);
    this.#classes[group] = (this.#classes[group] ?? 0) + 1;
    this.#bytes += line.bytes;
    const latency = latencyOf(line);
    if (latency !== undefined) {
      this.#latency[latency.bucket] = (this.#latency[latency.bucket] ?? 0) + 1;
      this.#latencySum += latency.ms;
    }
    if (line.path !== "") this.#fail(line.path, 1);
  }

  merge(other: Tally): void {
    for (const [index, count] of other.#classes.entries()) this.#classes[index] = (this.#classes[index] ?? 0) + count;
    for (const [index, count] of other.#latency.entries()) this.#latency[index] = (this.#latency[index] ?? 0) + count;
    this.#latencySum += other.#latencySum;
    this.#bytes += other.#bytes;
    for (const [path, count] of other.#failing ?? []) this.#fail(path, count);
  }

  get counts(): Counts {
    const counts = noCounts();
    for (const [index, name] of statusClasses.entries()) counts.classes[name] = this.#classes[index] ?? 0;
    counts.requests = this.#classes.reduce((sum, count) => sum + count, 0);
    counts.latency = [...this.#latency];
    counts.latencySum = this.#latencySum;
    counts.bytes = this.#bytes;
    return counts;
  }

  /** Most first. */
  failing(most: number): FailingPath[] {
    const paths = [...(this.#failing ?? [])].map(([path, count]) => ({ path, count }));
    return paths.toSorted((a, b) => b.count - a.count || a.path.localeCompare(b.path)).slice(0, most);
  }

  get saved(): SavedTally {
    return {
      c: [...this.#classes],
      l: [...this.#latency.entries()].filter(([, count]) => count > 0),
      s: this.#latencySum,
      b: this.#bytes,
      ...(this.#failing !== undefined && { p: [...this.#failing] }),
    };
  }

  static from({ c, l, s, b, p = [] }: SavedTally): Tally {
    const tally = new Tally();
    tally.#classes.set(c);
    for (const [bucket, count] of l) tally.#latency[bucket] = count;
    tally.#latencySum = s;
    tally.#bytes = b;
    if (p.length > 0) tally.#failing = new Map(p);
    return tally;
  }

  #fail(path: string, count: number): void {
    this.#failing ??= new Map();
    if (this.#failing.size < mostPaths || this.#failing.has(path)) {
      this.#failing.set(path, (this.#failing.get(path) ?? 0) + count);
    }
  }
}

/** The index in `statusClasses`. nginx logs 000 for a visitor who left before there was an answer: that is 4xx, as 499 is. */
function classOf(status: number): number {
  const group = Math.floor(status / 100);
  const name = group >= 1 && group <= 5 ? (`${group}xx` as StatusClass) : "4xx";
  return statusClasses.indexOf(name);
}
