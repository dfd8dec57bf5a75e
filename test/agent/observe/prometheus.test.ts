import { expect, test } from "vitest";
import { Counter, Histogram, renderMetrics } from "../../../agent/observe/prometheus.ts";
import { readMetrics } from "./format.ts";

test("metrics are rendered in Prometheus's text format", () => {
  const seconds = new Histogram([0.5, 10]);
  for (const value of [0.25, 0.5, 7, 60]) seconds.observe({ phase: "built" }, value);
  const calls = new Counter();
  calls.add({ app: "shop" });
  calls.add({ app: "shop" }, 2);
  const text = renderMetrics([
    { name: "calls_total", help: "Calls.", type: "counter", samples: calls.samples() },
    { name: "nothing", help: "Left out.", type: "gauge", samples: [] },
    { name: "seconds", help: "How long.", type: "histogram", samples: seconds.samples() },
    { name: "free", help: "Free.", type: "gauge", samples: [{ labels: {}, value: Number.POSITIVE_INFINITY }] },
  ]);
  expect(text).toBe(`# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{app="shop"} 3
# HELP seconds How long.
# TYPE seconds histogram
seconds_bucket{phase="built",le="0.5"} 2
seconds_bucket{phase="built",le="10"} 3
seconds_bucket{phase="built",le="+Inf"} 4
seconds_sum{phase="built"} 67.75
seconds_count{phase="built"} 4
# HELP free Free.
# TYPE free gauge
free +Inf
`);
  readMetrics(text);
});

test("what a label's value holds cannot end it", () => {
  const labels = { commit: 'a"} 1\nevil_metric 2\\' };
  const text = renderMetrics([
    { name: "info", help: "line\nbreak \\", type: "gauge", samples: [{ labels, value: 1 }] },
  ]);
  expect(text).toBe('# HELP info line\\nbreak \\\\\n# TYPE info gauge\ninfo{commit="a\\"} 1\\nevil_metric 2\\\\"} 1\n');
  expect([...readMetrics(text).values()]).toEqual([1]);
});
