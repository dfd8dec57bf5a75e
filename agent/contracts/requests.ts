/**
 * Visitors' requests as nginx logged them, by the run that answered: what the deploy code may ask, and agent/host/requests
 * supplies. nginx writes a line for each request when it has ended; the agent follows these lines about once a second.
 *
 * - A window is `from <= time of the request's end < to`, in milliseconds since the epoch, as `Clock.now()` has them. Counts
 *   are kept by the second for two minutes and by ten seconds for an hour, so a window is widened to whole ones: the answer
 *   says to which. Lines come about a second late: `read` first, or end a window at `readUntil`.
 * - A request belongs to the run that its slot (or port) led to when nginx opened the connection; the last one, if nginx
 *   asked several. `run` is null for what no run answered (static files, maintenance, redirects of nginx itself) and for
 *   the few for which that cannot be told: they were under way while their slot moved.
 * - The agent's own visits are no requests.
 * - `gap` says that the counts may lack requests: somebody removed or changed the file, the disk was full, the clock
 *   jumped, more lines came than the agent reads, or the agent was away too long. Whoever judges by such counts must say
 *   "not judged" instead. `absent` means that nginx does not write lines for this app at all.
 * - Latency is how long the instance took, and without an instance how long nginx took. Upgraded connections (status 101)
 *   are requests, but have no latency.
 *
 * Nothing here throws or waits for the host, but `read`, which reads a bounded piece of the file.
 */
export interface Requests {
  /** Reads the lines that came since the last time, now. Never throws: what could not be read is a gap. */
  read(app: string): Promise<void>;
  /** What came in a window. Without `to`, up to now. */
  counted(app: string, window: { from: number; to?: number }): CountedRequests;
  /**
   * All requests since lines were first read on this host, also by earlier agents, by who answered: for counters that never go
   * back. Roles with no request are left out.
   */
  totals(app: string): Partial<Record<RequestRole, Counts>>;
  /** The latest request in each bucket of these, as far as this agent has read it and knows who answered. */
  latest(app: string): Partial<Record<RequestRole, LatestRequests>>;
}

/** By bucket, as in `Counts.latency`. */
export type LatestRequests = (LatestRequest | undefined)[];

export interface LatestRequest {
  release: string;
  /** How long the instance took, in milliseconds. */
  ms: number;
  /** When it ended, in milliseconds since the epoch. */
  time: number;
}

/** The upper bounds of the latency buckets in milliseconds, inclusive. A last bucket has what took longer. */
export const latencyBounds = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000,
  15_000, 20_000, 30_000,
] as const;

export const statusClasses = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;
export type StatusClass = (typeof statusClasses)[number];

export interface CountedRequests {
  /** The window as it was counted: widened to whole seconds, or to whole ten seconds where it is older. */
  from: number;
  to: number;
  /** All lines of requests that ended before this were read; milliseconds since the epoch. 0 if none was ever read. */
  readUntil: number;
  /** Why the counts may lack requests of this window, as a clause without a full stop. Absent if they are whole. */
  gap?: string;
  /** nginx has written no line for this app since the agent follows it: with `site: none`, nobody may have told it to. */
  absent?: true;
  /** By run, in no order. A run without requests in this window is not there. */
  runs: RunCounts[];
}

/** Requests of one run. `release` is that of the run; both are null for what no run answered. */
export interface RunCounts extends Counts {
  run: string | null;
  release: string | null;
  /** The paths, without their queries, with most answers of 5xx; most first, at most ten. */
  failing: FailingPath[];
}

export interface FailingPath {
  path: string;
  count: number;
}

export interface Counts {
  requests: number;
  /** By class of the status that the visitor got. Together they are `requests`. */
  classes: Record<StatusClass, number>;
  /** How many answers took how long: one number for each of `latencyBounds`, and a last one for those that took longer. */
  latency: number[];
  /** The sum of the latencies, in milliseconds. */
  latencySum: number;
  /** Bytes sent to visitors. */
  bytes: number;
}

/** Who had the slot of a request: the live run or the canary, at that time. `none`: no run answered it, or nobody knows which. */
export const requestRoles = ["live", "canary", "none"] as const;
export type RequestRole = (typeof requestRoles)[number];

export function noCounts(): Counts {
  return {
    requests: 0,
    classes: { "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 },
    latency: new Array<number>(latencyBounds.length + 1).fill(0),
    latencySum: 0,
    bytes: 0,
  };
}

/** The index in `Counts.latency` for an answer that took so long. */
export function latencyBucket(ms: number): number {
  const index = latencyBounds.findIndex((bound) => ms <= bound);
  return index === -1 ? latencyBounds.length : index;
}

/**
 * The latency that this share of the answers did not exceed, in milliseconds, interpolated inside its bucket as Prometheus
 * does. What took longer than the last bound counts as the last bound.
 * @param share 0.95 for p95
 * @returns undefined without answers
 */
export function latencyQuantile({ latency }: Pick<Counts, "latency">, share: number): number | undefined {
  const all = latency.reduce((sum, count) => sum + count, 0);
  if (all === 0) return undefined;
  let rest = share * all;
  for (const [index, count] of latency.entries()) {
    const upper = latencyBounds[index];
    if (upper === undefined) break;
    const lower = latencyBounds[index - 1] ?? 0;
    if (count > 0 && rest <= count) return lower + ((upper - lower) * rest) / count;
    rest -= count;
  }
  return latencyBounds.at(-1);
}
