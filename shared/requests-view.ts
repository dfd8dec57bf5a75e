import { z } from "zod";
import { releaseId, runId } from "./names.ts";

/** `none`: nginx answered by itself, or nobody can tell who answered. `old`: a run that has left the traffic. */
export const requestsRole = z.enum(["live", "canary", "old", "none"]).catch("none");

/** Visitors' requests of one run, in the time of the whole view. */
export const runRequests = z.object({
  role: requestsRole,
  run: runId.nullable(),
  release: releaseId.nullable(),
  requests: z.int(),
  /** Answers of 5xx. */
  failed: z.int(),
  /** Of the latency, in milliseconds; absent without answers. */
  p50: z.number().optional(),
  p95: z.number().optional(),
  /** The paths with most answers of 5xx, without their queries: untrusted text. */
  failing: z.array(z.object({ path: z.string(), count: z.int() })),
});
export type RunRequests = z.output<typeof runRequests>;

export const requestsView = z.object({
  /** The time that was counted. */
  seconds: z.number(),
  /** Why requests may be missing; absent if all were counted. */
  gap: z.string().optional(),
  /** The live run first, then the canary. */
  runs: z.array(runRequests),
});
export type RequestsView = z.output<typeof requestsView>;

/** What visitors saw of the release that a deployment brought, and of the one before it. */
export const deploymentRequests = z.object({
  requests: z.int(),
  failed: z.int(),
  p95: z.number().optional(),
  before: z.object({ requests: z.int(), failed: z.int(), p95: z.number().optional() }).optional(),
});
export type DeploymentRequests = z.output<typeof deploymentRequests>;

type Seen = Pick<DeploymentRequests, "requests" | "failed" | "p95">;

/** `1,204 requests by the new release: 0.0 % 5xx, p95 84 ms; before: 0.1 %, 80 ms` */
export function requestsWords(seen: DeploymentRequests): string {
  const count = `${seen.requests.toLocaleString("en-US")} ${seen.requests === 1 ? "request" : "requests"}`;
  const now = [`${failedShare(seen)} 5xx`, ...latencyWords("p95 ", seen)].join(", ");
  const { before } = seen;
  const then = before === undefined ? "" : `; before: ${[failedShare(before), ...latencyWords("", before)].join(", ")}`;
  return `${count} by the new release: ${now}${then}`;
}

/** The share of 5xx, such as `0.1 %`. */
export function failedShare({ requests, failed }: Pick<Seen, "requests" | "failed">): string {
  return `${((failed / Math.max(requests, 1)) * 100).toFixed(1)} %`;
}

/** A latency in milliseconds, as precise as its bucket lets it be. */
export function latencyText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms).toLocaleString("en-US")} ms`;
}

function latencyWords(before: string, { p95 }: Seen): string[] {
  return p95 === undefined ? [] : [`${before}${latencyText(p95)}`];
}
