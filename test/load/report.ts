import { type Kind, kinds } from "./options.ts";

/** Milliseconds from when a request was due to its last byte; only of requests that succeeded. */
export interface Summary {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export interface FailedRequest {
  /** When it was due, in milliseconds since the start. */
  at: number;
  /** The same as wall-clock time. */
  time: string;
  kind: Kind;
  connection: "fresh" | "kept";
  /** `status 502`, `ECONNRESET`, `timeout`, `wrong answer`, ... */
  reason: string;
}

/** What `/version` said: which release answered, from when until when, in milliseconds since the start. */
export interface VersionSeen {
  version: string;
  release: string;
  pids: number[];
  first: number;
  last: number;
  count: number;
}

export interface KindReport {
  sent: number;
  ok: number;
  failed: number;
  latency: Summary;
}

export interface LoadReport {
  /** Milliseconds since the epoch. */
  started: number;
  elapsedMs: number;
  rate: number;
  sent: number;
  ok: number;
  failed: number;
  kinds: Record<Kind, KindReport>;
  /** The first thousand; `failed` counts all. */
  failures: FailedRequest[];
  versions: VersionSeen[];
  /** How late the generator itself sent requests, in milliseconds: large values mean that this machine was too busy. */
  lag: Summary;
  /** Every success: when it was due, since the start, and how long it took. */
  samples: Record<Kind, { at: number[]; ms: number[] }>;
}

export interface LoadSnapshot {
  elapsedMs: number;
  sent: number;
  ok: number;
  failed: number;
  inFlight: number;
  /** The last answer of `/version`, without the process id. */
  latest: { version: string; release: string } | undefined;
}

/** The value below which a part of the sorted values lies; 0 when there are none. */
export function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))] ?? 0;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    count: sorted.length,
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? 0,
  };
}

export interface TimeWindow {
  from: number;
  to: number;
}

/** Latencies of the requests that were due within one of the windows (wall clock, milliseconds), and of all others. */
export function splitLatency(
  report: LoadReport,
  kind: Kind,
  windows: TimeWindow[],
): { inside: Summary; outside: Summary } {
  const inside: number[] = [];
  const outside: number[] = [];
  const { at, ms } = report.samples[kind];
  for (const [index, due] of at.entries()) {
    const time = report.started + due;
    const within = windows.some(({ from, to }) => time >= from && time <= to);
    (within ? inside : outside).push(ms[index] ?? 0);
  }
  return { inside: summarize(inside), outside: summarize(outside) };
}

/** One line for a person: `2,412 requests, 0 failed; GET p50 3 ms, p99 12 ms`. */
export function describeReport({ sent, failed, kinds: byKind }: LoadReport): string {
  const { p50, p99 } = byKind.get.latency;
  return `${sent.toLocaleString("en")} requests, ${failed} failed; GET p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

export function byKind<T>(make: () => T): Record<Kind, T> {
  return Object.fromEntries(kinds.map((kind) => [kind, make()])) as Record<Kind, T>;
}
