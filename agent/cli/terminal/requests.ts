import { failedShare, latencyText, type RequestsView, type RunRequests } from "../../../shared/requests-view.ts";
import type { ViewOptions } from "./events.ts";
import { renderTable } from "./table.ts";
import { safe } from "./terminal.ts";

/** An app with what its visitors saw; no view if nginx writes no lines of its requests. */
export interface AppRequests {
  app: string;
  view: RequestsView | undefined;
}

const head = ["visitors", "run", "requests/s", "5xx", "p50", "p95"];

/** A line for each run of one app. */
export function renderRequests(view: RequestsView, options: ViewOptions): string {
  const rows = view.runs.map((run) => [run.role, ...cells(run, view, options)]);
  return renderTable(head, rows, [2, 3, 4, 5]);
}

/** The screen of `cutover top`. @param height in lines; without it all is shown */
export function renderTop(apps: AppRequests[], options: ViewOptions & { height?: number | undefined }): string {
  const { style, now, height = Number.POSITIVE_INFINITY } = options;
  if (apps.length === 0) return "This host has no apps yet. Add one with `cutover app add`; its help has an example.";
  const counted = apps.flatMap(({ app, view }) => (view === undefined ? [] : [{ app, view }]));
  const rate = counted.reduce((sum, { view }) => sum + rateOf(view.runs, view), 0);
  const title = `cutover top  ${new Date(now).toISOString().slice(11, 19)} UTC  ${style("bold", rateText(rate))} requests/s`;
  const rows = counted
    .toSorted((a, b) => rateOf(b.view.runs, b.view) - rateOf(a.view.runs, a.view) || a.app.localeCompare(b.app))
    .flatMap(({ app, view }) => view.runs.map((run) => [style("bold", app), run.role, ...cells(run, view, options)]));
  const table = renderTable(["app", ...head], rows, [3, 4, 5, 6]);
  const lines = [title, "", ...table.split("\n"), ...failingLines(counted, options), ...remarks(apps, options)];
  return lines.length <= height ? lines.join("\n") : [...lines.slice(0, height - 1), style("dim", "...")].join("\n");
}

function cells(run: RunRequests, view: RequestsView, { style }: ViewOptions): string[] {
  const share = failedShare(run);
  return [
    run.run ?? style("dim", "no instance"),
    rateText(rateOf([run], view)),
    run.failed > 0 ? style("red", share) : share,
    run.p50 === undefined ? "" : latencyText(run.p50),
    run.p95 === undefined ? "" : latencyText(run.p95),
  ];
}

/** The paths that fail most, of all apps. */
function failingLines(apps: { app: string; view: RequestsView }[], { style }: ViewOptions): string[] {
  const all = apps.flatMap(({ app, view }) =>
    view.runs.flatMap(({ role, failing }) => failing.map((one) => ({ app, role, ...one }))),
  );
  if (all.length === 0) return [];
  const rows = all
    .toSorted((a, b) => b.count - a.count)
    .slice(0, 10)
    .map(({ app, role, path, count }) => [style("red", String(count)), app, role, safe(path).slice(0, 80)]);
  return ["", ...renderTable(["5xx", "app", "visitors", "path"], rows, [0]).split("\n")];
}

function remarks(apps: AppRequests[], { style }: ViewOptions): string[] {
  const lines = apps.flatMap(({ app, view }) => {
    if (view === undefined) return [`${app}: nginx has written no line of a request yet`];
    return view.gap === undefined ? [] : [`${app}: some requests may be missing: ${safe(view.gap)}`];
  });
  return lines.length === 0 ? [] : ["", ...lines.map((line) => style("yellow", line))];
}

function rateOf(runs: RunRequests[], { seconds }: RequestsView): number {
  return runs.reduce((sum, { requests }) => sum + requests, 0) / seconds;
}

function rateText(rate: number): string {
  return rate >= 100 ? Math.round(rate).toLocaleString("en-US") : rate.toFixed(1);
}
