import { type Counts, latencyBounds, type Requests, requestRoles, statusClasses } from "../contracts/requests.ts";
import type { Family, Sample } from "./prometheus.ts";

/** Visitors' requests of all apps: by who had the slot, live or canary, at that time. They go on over restarts of the agent. */
export function requestFamilies(requests: Pick<Requests, "totals">, apps: string[]): Family[] {
  const all = apps.flatMap((app) => {
    const totals = requests.totals(app);
    return requestRoles.flatMap((role) =>
      totals[role] === undefined ? [] : [{ labels: { app, role }, counts: totals[role] }],
    );
  });
  return [
    {
      name: "cutover_requests_total",
      help: "Visitors' requests, by who had their slot, and by the class of the answer's status.",
      type: "counter",
      samples: all.flatMap(({ labels, counts }) =>
        statusClasses.map((name) => ({ labels: { ...labels, class: name }, value: counts.classes[name] })),
      ),
    },
    {
      name: "cutover_request_duration_seconds",
      help: "How long instances took for their answers; without an instance, how long nginx took.",
      type: "histogram",
      samples: all.flatMap(({ labels, counts }) => histogram(labels, counts)),
    },
  ];
}

function histogram(labels: Record<string, string>, { latency, latencySum }: Counts): Sample[] {
  let below = 0;
  const buckets = latencyBounds.map((bound, index) => {
    below += latency[index] ?? 0;
    return { suffix: "_bucket", labels: { ...labels, le: String(bound / 1000) }, value: below };
  });
  const count = below + (latency[latencyBounds.length] ?? 0);
  return [
    ...buckets,
    { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: count },
    { suffix: "_sum", labels, value: latencySum / 1000 },
    { suffix: "_count", labels, value: count },
  ];
}
