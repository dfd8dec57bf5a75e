import { rollbackIsImmediate } from "../../../shared/app-view.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import {
  type AppView,
  actorName,
  type DeploymentView,
  type ReleaseView,
  type RequestsView,
} from "../../../shared/protocol.ts";
import { shortTime, stateWords, type ViewOptions } from "./events.ts";
import { renderRequests } from "./requests.ts";
import { renderFitting, wrapped } from "./table.ts";
import { safe } from "./terminal.ts";

export function renderStatus(view: AppView, options: ViewOptions): string {
  const lines = [options.style("bold", view.app), ...facts(view, options)];
  const { requests } = view;
  if (requests !== undefined && requests.runs.length > 0) lines.push("", renderVisitors(requests, options));
  if (view.instances.length > 0) lines.push("", renderInstances(view, options));
  if (view.releases.length > 0) lines.push("", renderFolded(view, options));
  return `${lines.join("\n")}\n`;
}

function facts(view: AppView, options: ViewOptions): string[] {
  const rows = [...runRows(view, options), ...siteRows(view, options), ...troubleRows(view, options)];
  if (view.deployment !== null) rows.push(["last", deploymentLine(view.deployment, options)]);
  rows.push(...whyRows(view.deployment, options));
  return rows.map(([name, value]) => `  ${name.padEnd(9)} ${value}`);
}

/** STOPPING is a process that finishes its job. */
const upStates = new Set(["RUNNING", "STARTING", "STOPPING"]);

type Row = [name: string, value: string];

function runRows(view: AppView, { style, now }: ViewOptions): Row[] {
  const { live, staged, weight, warm, previous } = view;
  const rows: Row[] = [["live", live === null ? style("dim", "nothing yet") : style("green", live)]];
  if (staged !== null) {
    const part = weight === 0 ? "without traffic" : `with ${weight} % of the traffic`;
    rows.push([weight === 0 ? "staged" : "canary", `${style("cyan", staged)}, ${part}`]);
  }
  if (warm !== null) {
    const left = Math.max(0, Date.parse(warm.until) - now);
    const use = rollbackIsImmediate(view) ? ": a rollback to it is immediate" : "";
    rows.push(["warm", `${warm.run}, for another ${shortTime(left)}${use}`]);
  }
  if (previous !== null) rows.push(["previous", previous]);
  return rows;
}

function siteRows({ urls, maintenance }: AppView, { style, now }: ViewOptions): Row[] {
  const rows = urls.map((url, index): Row => [index === 0 ? "serves" : "", safe(url)]);
  if (maintenance === undefined) return rows;
  const { since, allow } = maintenance;
  const who = allow.length === 0 ? "" : `, but for ${allow.map(safe).join(", ")}`;
  const closed = `for maintenance, ${shortTime(now - Date.parse(since))} ago${who}`;
  return [...rows, ["closed", style("yellow", closed)]];
}

function troubleRows({ app, held, problem, live, instances, unbuilt }: AppView, { style }: ViewOptions): Row[] {
  const rows: Row[] = [];
  const down = instances.filter(({ run, state }) => run === live && !upStates.has(state));
  if (down.length > 0 && problem === undefined) {
    const names = down.map(({ name, state }) => `${safe(name)} (${safe(state)})`).join(", ");
    rows.push(["down", style("red", `${names}; the agent starts them again for as long as it takes`)]);
  }
  if (unbuilt === true) {
    const text = `its environment is gone, or its Python is gone or another one: \`cutover heal ${app}\` builds it again`;
    rows.push(["unbuilt", style("red", text)]);
  }
  if (held !== undefined) rows.push(["held", style("red", safe(held))]);
  if (problem !== undefined) rows.push(["problem", style("red", safe(problem))]);
  return rows;
}

function deploymentLine(view: DeploymentView, { style, now }: ViewOptions): string {
  const began = Date.parse(view.started);
  const by = safe(actorName(view.by));
  const word = view.outcome === "running" ? `${view.outcome}, ${stateWords[view.state]}` : view.outcome;
  const colour =
    view.outcome === "failed" || view.outcome === "aborted" ? "red" : view.outcome === "running" ? "yellow" : "green";
  return `${view.kind} ${style(colour, word)}, ${shortTime(now - began)} ago, by ${by} (${view.id})`;
}

/** Why the last deployment failed, and what to do, as its annotation said. */
function whyRows(view: DeploymentView | null, { width }: ViewOptions): Row[] {
  if (view === null || view.outcome !== "failed" || view.failure === undefined) return [];
  const { code, detail, fix } = view.failure;
  const text = [`${code}: ${detail}`, ...(fix === undefined ? [] : [fix])].join("\n");
  const lines = safe(text)
    .split("\n")
    .flatMap((line) => wrapped(line, width === undefined ? width : width - 12));
  return lines.map((line, index) => [index === 0 ? "why" : "", line]);
}

function renderVisitors(view: RequestsView, { style, now }: ViewOptions): string {
  const gap = view.gap === undefined ? "" : `\n${style("yellow", `some may be missing: ${safe(view.gap)}`)}`;
  return indent(`${renderRequests(view, { style, now })}${gap}`);
}

function renderInstances({ instances, restarts_since: since }: AppView, { style, now, width }: ViewOptions): string {
  const isCounted = instances.some(({ restarts }) => restarts !== undefined);
  const rows = instances.map((one) => [...instanceRow(one, style), ...(isCounted ? [restartsCell(one, style)] : [])]);
  const head = ["instance", "run", "state", "up", "open", "slots", "pid", ...(isCounted ? ["restarts"] : [])];
  const table = renderFitting(head, rows, inner(width), [3, 4, 5, 6, 7]);
  if (!isCounted || since === undefined) return indent(table);
  const counting = `restarts since the agent started, ${shortTime(now - Date.parse(since))} ago`;
  return indent(`${table}\n${style("dim", counting)}`);
}

type InstanceView = AppView["instances"][number];

function instanceRow(one: InstanceView, style: ViewOptions["style"]): string[] {
  return [
    safe(one.name),
    one.run,
    style(one.state === "RUNNING" ? "green" : one.state === "STARTING" ? "yellow" : "red", safe(one.state)),
    one.uptime === undefined ? "" : shortTime(one.uptime),
    one.process === undefined ? String(one.connections) : "",
    one.process === undefined ? String(one.slots) : "",
    one.pid === undefined ? "" : String(one.pid),
  ];
}

function restartsCell({ restarts }: InstanceView, style: ViewOptions["style"]): string {
  return restarts === undefined ? "" : style("yellow", String(restarts));
}

export function renderReleases({ releases, live }: Pick<AppView, "releases" | "live">, options: ViewOptions): string {
  const current = live === null ? undefined : releaseOfRun(live);
  const rows = releases.map((release) => releaseRow(release, release.id === current, options));
  const head = ["release", "state", "made", "live", "commit", "repository"];
  return indent(renderFitting(head, rows, inner(options.width)));
}

/** Of several that failed only the newest, so that what has served is not pushed out of sight. */
function renderFolded({ app, live, releases }: AppView, options: ViewOptions): string {
  const [newest, ...folded] = releases
    .filter(({ state, pinned }) => state === "failed" && pinned !== true)
    .toSorted((a, b) => Date.parse(b.created) - Date.parse(a.created));
  if (newest === undefined || folded.length === 0) return renderReleases({ releases, live }, options);
  const shown = releases.filter((release) => !folded.includes(release));
  const count = folded.length === 1 ? "1 older release that" : `${folded.length} older releases that`;
  const more = `and ${count} failed: \`cutover releases ${app}\` lists all`;
  return `${renderReleases({ releases: shown, live }, options)}\n${indent(options.style("dim", more))}`;
}

function releaseRow(release: ReleaseView, live: boolean, { style, now }: ViewOptions): string[] {
  const colours = {
    live: "green",
    staged: "cyan",
    failed: "red",
    rolled_back: "yellow",
    good: "dim",
    unpacked: "dim",
  } as const;
  return [
    live ? style("bold", release.id) : release.id,
    style(colours[release.state], release.state.replace("_", " ")) +
      (release.unwell === true ? style("red", ", unwell") : "") +
      (release.pinned === true ? ", pinned" : ""),
    `${shortTime(now - Date.parse(release.created))} ago`,
    release.live_at === undefined ? "never" : `${shortTime(now - Date.parse(release.live_at))} ago`,
    safe(release.commit.slice(0, 7)),
    safe(release.repository),
  ];
}

export interface AppRow {
  app: string;
  view?: AppView;
  /** Why the agent cannot show it. */
  problem?: string;
}

export function renderApps(rows: AppRow[], { style, now, width }: ViewOptions): string {
  if (rows.length === 0) return "This host has no apps yet. Add one with `cutover app add`; its help has an example.\n";
  const cells = rows.map(({ app, view, problem }) => {
    if (view === undefined)
      return [style("bold", app), style("red", safe(problem ?? "").split("\n", 1)[0] ?? ""), "", ""];
    const running = view.instances.filter(({ slots, state }) => slots > 0 && state === "RUNNING").length;
    const serving = view.instances.filter(({ slots }) => slots > 0).length;
    const part = `${running} of ${serving}`;
    const deployment = view.deployment;
    return [
      style("bold", app),
      view.live ?? style("dim", "nothing yet"),
      serving === 0 ? "" : style(running === serving ? "green" : "red", view.problem === undefined ? part : "unknown"),
      deployment === null
        ? ""
        : `${deployment.kind} ${deployment.outcome}, ${shortTime(now - Date.parse(deployment.started))} ago`,
    ];
  });
  return `${renderFitting(["app", "live", "running", "last deployment"], cells, width)}\n`;
}

/** What is left beside the indent. */
function inner(width: number | undefined): number | undefined {
  return width === undefined ? undefined : width - 2;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? line : `  ${line}`))
    .join("\n");
}
