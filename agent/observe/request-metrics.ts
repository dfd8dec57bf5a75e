import {
  type Counts,
  type LatestRequests,
  latencyBounds,
  type Requests,
  requestRoles,
  statusClasses,
} from "../contracts/requests.ts";
import type { Exemplar, Family, Sample } from "./prometheus.ts";

/**
 * Visitors' requests of all apps: by who had the slot, live or canary, at that time. They go on over restarts of the agent.
 * Releases are in the exemplars alone: as a label each would be a series for ever.
 */
export function requestFamilies(requests: Pick<Requests, "totals" | "latest">, apps: string[]): Family[] {
  const all = apps.flatMap((app) => {
    const [totals, latest] = [requests.totals(app), requests.latest(app)];
    return requestRoles.flatMap((role) =>
      totals[role] === undefined ? [] : [{ labels: { app, role }, counts: totals[role], latest: latest[role] ?? [] }],
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
      samples: all.flatMap(({ labels, counts, latest }) => histogram(labels, counts, latest)),
    },
  ];
}

function histogram(labels: Record<string, string>, { latency, latencySum }: Counts, latest: LatestRequests): Sample[] {
  let count = 0;
  const bounds = [...latencyBounds.map((bound) => String(bound / 1000)), "+Inf"];
  const buckets = bounds.map((le, index) => {
    count += latency[index] ?? 0;
    return { suffix: "_bucket", labels: { ...labels, le }, value: count, ...exemplarOf(latest[index]) };
  });
  return [...buckets, { suffix: "_sum", labels, value: latencySum / 1000 }, { suffix: "_count", labels, value: count }];
}

function exemplarOf(request: LatestRequests[number]): { exemplar?: Exemplar } {
  if (request === undefined) return {};
  const { release, ms, time } = request;
  return { exemplar: { labels: { release }, value: ms / 1000, time: time / 1000 } };
}
