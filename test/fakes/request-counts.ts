import { latencyBucket, noCounts, type RunCounts } from "../../agent/contracts/requests.ts";
import { releaseOfRun } from "../../shared/names.ts";

/** Counts of one run: `failed` answers of 500 at /checkout, all others 200, each after `ms`. */
export function runCounts(run: string | null, requests: number, { failed = 0, ms = 10 } = {}): RunCounts {
  const counts = noCounts();
  counts.requests = requests;
  counts.classes["2xx"] = requests - failed;
  counts.classes["5xx"] = failed;
  counts.latency[latencyBucket(ms)] = requests;
  counts.latencySum = requests * ms;
  const failing = failed === 0 ? [] : [{ path: "/checkout", count: failed }];
  return { run, release: run === null ? null : releaseOfRun(run), ...counts, failing };
}
