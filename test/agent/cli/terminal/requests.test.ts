import { expect, test } from "vitest";
import { renderTop } from "../../../../agent/cli/terminal/requests.ts";
import { renderStatus } from "../../../../agent/cli/terminal/status.ts";
import type { Style } from "../../../../agent/cli/terminal/terminal.ts";
import type { RequestsView } from "../../../../shared/requests-view.ts";
import { fakeAppView, fakeTimes } from "../../../fakes/app-view.ts";

const style: Style = (_, text) => text;
const options = { style, now: Date.parse(fakeTimes.later) };
const live = "20261121T103000Z-3f2c1ab";
const canary = "20261121T110000Z-1234567";

const view: RequestsView = {
  seconds: 10,
  runs: [
    { role: "live", run: live, release: live, requests: 12_040, failed: 0, p50: 9.5, p95: 84.4, failing: [] },
    {
      ...{ role: "canary", run: canary, release: canary, requests: 60, failed: 3, p50: 12, p95: 1500 },
      failing: [{ path: "/checkout\u001b[2J", count: 3 }],
    },
    { role: "none", run: null, release: null, requests: 4, failed: 0, failing: [] },
  ],
};

test("top: what visitors see of each release, the paths that fail, and whose requests are not known", () => {
  const small: RequestsView = { seconds: 10, gap: "the disk was full", runs: [] };
  const apps = [
    { app: "blog", view: small },
    { app: "docs", view: undefined },
    { app: "shop", view },
  ];
  expect(renderTop(apps, options)).toBe(`cutover top  10:40:00 UTC  1,210 requests/s

app   visitors  run                       requests/s    5xx     p50       p95
shop  live      20261121T103000Z-3f2c1ab       1,204  0.0 %  9.5 ms     84 ms
shop  canary    20261121T110000Z-1234567         6.0  5.0 %   12 ms  1,500 ms
shop  none      no instance                      0.4  0.0 %

5xx  app   visitors  path
  3  shop  canary    /checkout

blog: some requests may be missing: the disk was full
docs: nginx has written no line of a request yet`);
  expect(renderTop([], options)).toContain("cutover app add");
  expect(renderTop(apps, { ...options, height: 5 }).split("\n")).toHaveLength(5);
});

test("status: the last minute of visitors, by release", () => {
  expect(
    renderStatus({ ...fakeAppView(), requests: { ...view, seconds: 60, gap: "the disk was full" } }, options),
  ).toContain(`
  visitors  run                       requests/s    5xx     p50       p95
  live      20261121T103000Z-3f2c1ab         201  0.0 %  9.5 ms     84 ms
  canary    20261121T110000Z-1234567         1.0  5.0 %   12 ms  1,500 ms
  none      no instance                      0.1  0.0 %
  some may be missing: the disk was full

  instance  run `);
});
