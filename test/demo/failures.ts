import type { FailedRequest, LoadReport } from "../load/report.ts";

/** So late sends only a machine that has no time for the load: a quiet one is late by some milliseconds. */
const busyMs = 250;
const mostReasons = 8;

/**
 * Why requests failed, for somebody who does not know the load: how many for each reason, when, and whether the machine
 * itself was too busy to send them in time.
 * @param explained which failures the demo itself brings about, and are left out
 * @returns no lines if nothing failed
 */
export function failureLines(reports: LoadReport[], explained: (request: FailedRequest) => boolean): string[] {
  const failures = reports.flatMap((report) => report.failures).filter((request) => !explained(request));
  if (failures.length === 0) return [];
  const groups = Object.entries(Object.groupBy(failures, ({ kind, reason }) => `${kind}: ${reason}`))
    .map(([what, requests = []]) => ({ what, requests }))
    .sort((a, b) => b.requests.length - a.requests.length);
  const lines = groups.slice(0, mostReasons).map(({ what, requests }) => {
    const times = requests.map(({ time }) => time).sort();
    const [first = "", last = ""] = [times[0], times.at(-1)];
    return `${requests.length} x ${what}, ${first === last ? `at ${first}` : `from ${first} to ${last}`}`;
  });
  const more = groups.length - lines.length;
  const lag = Math.max(...reports.map((report) => report.lag.p99));
  return [
    ...lines,
    ...(more > 0 ? [`and ${more} more reasons`] : []),
    ...(lag < busyMs
      ? []
      : [
          `This machine is too busy for the demo: it sent 1 % of the requests more than ${(lag / 1000).toFixed(1)} s late.`,
          "Stop what else runs on it, then run `npm run demo` again.",
        ]),
  ];
}
