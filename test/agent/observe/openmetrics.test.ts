import { expect, test } from "vitest";
import { latencyBucket } from "../../../agent/contracts/requests.ts";
import { createMetricsApp } from "../../../agent/http/metrics.ts";
import { createLogger } from "../../../agent/logger.ts";
import { Metrics } from "../../../agent/observe/metrics.ts";
import { Counter, renderMetrics } from "../../../agent/observe/prometheus.ts";
import { runCounts } from "../../fakes/request-counts.ts";
import { FakeService } from "../../fakes/service.ts";
import { readOpenMetrics } from "../../harness/openmetrics.ts";
import { readMetrics } from "./format.ts";

const v1 = "20261121T100000Z-1111111";
const v2 = "20261121T100100Z-2222222";
const time = Date.parse("2026-11-21T10:00:00.250Z");

/** All that the agent has, with live requests of two releases, and none whose release is known for the others. */
function watched(): Metrics {
  const live: ({ release: string; ms: number; time: number } | undefined)[] = [];
  live[latencyBucket(84)] = { release: v1, ms: 84, time };
  live[latencyBucket(90_000)] = { release: v2, ms: 90_000, time: time + 1000 };
  const requests = {
    totals: () => ({ live: runCounts(null, 10, { failed: 2, ms: 84 }), none: runCounts(null, 3) }),
    latest: () => ({ live }),
  };
  const metrics = new Metrics({ service: new FakeService(), requests, version: "1.2.3", freeBytes: async () => 5000 });
  const took = { type: "state", id: 1, at: new Date(time).toISOString(), state: "healthy", took: 250 } as const;
  metrics.event("shop", took);
  metrics.refused("spent");
  return metrics;
}

/** How Prometheus 2 and 3 ask. */
const prometheus =
  "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

test("the parser of OpenMetrics' authors reads all of it, and both formats have the same samples", async () => {
  const metrics = watched();
  const samples = await readOpenMetrics(await metrics.render("openmetrics"));
  const text = [...readMetrics(await metrics.render()).keys()];
  const named = samples.map(({ name, labels }) => {
    const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
  });
  expect(named).toEqual(text);
  expect(samples).toContainEqual(
    expect.objectContaining({ family: "cutover_requests", type: "counter", name: "cutover_requests_total" }),
  );
});

test("a bucket names the release of its latest request, what that took and when; nothing else does", async () => {
  const samples = await readOpenMetrics(await watched().render("openmetrics"));
  const shown = samples.flatMap(({ name, labels: { role, le }, exemplar }) =>
    exemplar === null ? [] : [{ name, role, le, ...exemplar }],
  );
  const bucket = { name: "cutover_request_duration_seconds_bucket", role: "live" };
  expect(shown).toEqual([
    { ...bucket, le: "0.1", labels: { release: v1 }, value: 0.084, time: time / 1000 },
    { ...bucket, le: "+Inf", labels: { release: v2 }, value: 90, time: time / 1000 + 1 },
  ]);
});

test("the text format is as before: it has no exemplars, which Prometheus would refuse there", async () => {
  const text = await watched().render();
  expect(text).not.toContain(" # ");
  expect(text).not.toContain("# EOF");
  expect(text).toContain("# TYPE cutover_requests_total counter\n");
});

test("what a label's value or a help holds cannot end it", async () => {
  const calls = new Counter();
  const labels = { commit: 'a"} 1\nevil_metric 2\\' };
  calls.add(labels);
  const family = { name: "calls_total", help: 'say "a"\nbreak \\', type: "counter", samples: calls.samples() } as const;
  const read = await readOpenMetrics(renderMetrics([family], "openmetrics"));
  expect(read).toMatchObject([{ family: "calls", name: "calls_total", labels, value: 1 }]);
});

test.each([
  ["Prometheus", prometheus, "openmetrics"],
  ["a scraper that knows nothing else", "application/openmetrics-text", "openmetrics"],
  ["one that would rather have text", "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.5", "text"],
  ["one that refuses it", "application/openmetrics-text;q=0,text/plain", "text"],
  ["curl", "*/*", "text"],
  ["a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"],
  ["one that says nothing", undefined, "text"],
])("%s gets what it asks for", async (_who, accept, format) => {
  const metrics = watched();
  const app = createMetricsApp({ logger: createLogger("silent"), metrics: (wanted) => metrics.render(wanted) });
  const answer = await app.request("/metrics", { headers: accept === undefined ? {} : { accept } });
  const type =
    format === "text"
      ? "text/plain; version=0.0.4; charset=utf-8"
      : "application/openmetrics-text; version=1.0.0; charset=utf-8";
  expect([answer.status, answer.headers.get("content-type"), answer.headers.get("vary")]).toEqual([
    200,
    type,
    "Accept",
  ]);
  expect((await answer.text()).endsWith("# EOF\n")).toBe(format === "openmetrics");
});
