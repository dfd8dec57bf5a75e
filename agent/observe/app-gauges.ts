import { releaseOfRun } from "../../shared/names.ts";
import type { AppView } from "../../shared/protocol.ts";
import { type Family, gauge, type Sample } from "./prometheus.ts";

type Labels = Record<string, string>;

const gaugeNames = {
  readable: [
    "cutover_app_readable",
    "Whether the app's state could be read: 0 if its state file or supervisord fails.",
  ],
  held: [
    "cutover_app_held",
    "Whether the app is held: it takes no deployments until the open one is finished or undone.",
  ],
  maintenance: ["cutover_app_maintenance", "Whether the site is closed for maintenance."],
  release: ["cutover_release_info", "The live release and the staged one."],
  up: ["cutover_instances_up", "Instances and processes that supervisor reports as RUNNING."],
  wanted: ["cutover_instances_wanted", "Instances and processes that should run."],
  down: ["cutover_instances_down", "Instances and processes of the live release that do not run."],
  connections: ["cutover_connections", "Open requests on instances."],
  slots: ["cutover_slots", "Slots of the app's upstream that lead to instances."],
  weight: ["cutover_canary_weight_percent", "The share of the traffic that the canary has, in percent."],
  running: ["cutover_deployment_running", "Whether a deployment is running."],
  last: ["cutover_last_deployment_timestamp_seconds", "When the last deployment ended."],
  succeeded: ["cutover_last_deployment_succeeded", "Whether the last deployment succeeded or staged its release."],
} as const;

/** The gauges of all apps, filled by `describeApp`. */
export class AppGauges {
  readonly #samples = new Map<keyof typeof gaugeNames, Sample[]>();

  set(gauge: keyof typeof gaugeNames, labels: Labels, value: number): void {
    this.#samples.set(gauge, [...(this.#samples.get(gauge) ?? []), { labels, value }]);
  }

  families(): Family[] {
    return Object.entries(gaugeNames).map(([key, [name, help]]) =>
      gauge(name, help, this.#samples.get(key as keyof typeof gaugeNames) ?? []),
    );
  }
}

/** Sets the gauges of one app from its view. */
export function describeApp(gauges: AppGauges, view: AppView): void {
  const { app, deployment } = view;
  gauges.set("readable", { app }, view.problem === undefined ? 1 : 0);
  gauges.set("held", { app }, view.held === undefined ? 0 : 1);
  gauges.set("maintenance", { app }, view.maintenance === undefined ? 0 : 1);
  gauges.set("weight", { app }, view.weight);
  gauges.set("running", { app }, deployment?.outcome === "running" ? 1 : 0);
  if (deployment?.finished !== undefined) {
    gauges.set("last", { app }, Date.parse(deployment.finished) / 1000);
    gauges.set("succeeded", { app }, ["succeeded", "staged"].includes(deployment.outcome) ? 1 : 0);
  }
  describeReleases(gauges, view);
  if (view.problem === undefined) describeInstances(gauges, view);
}

function describeReleases(gauges: AppGauges, { app, live, staged, releases }: AppView): void {
  for (const [role, run] of [["live", live] as const, ["staged", staged] as const]) {
    if (run === null) continue;
    const { commit = "", repository = "" } = releases.find(({ id }) => id === releaseOfRun(run)) ?? {};
    gauges.set("release", { app, role, release: releaseOfRun(run), commit, repository }, 1);
  }
}

function describeInstances(gauges: AppGauges, { app, live, staged, warm, instances }: AppView): void {
  const roleOf = (run: string) =>
    run === live ? "live" : run === staged ? "staged" : run === warm?.run ? "warm" : "leaving";
  const groups = Map.groupBy(instances, ({ run, process = "" }) => JSON.stringify([roleOf(run), process]));
  for (const [key, group] of groups) {
    const [role = "", process = ""] = JSON.parse(key) as string[];
    const labels = { app, role, ...(process !== "" && { process }) };
    gauges.set("up", labels, group.filter(({ state }) => state === "RUNNING").length);
    gauges.set("wanted", labels, group.length);
    if (role === "live") gauges.set("down", labels, group.filter(({ state }) => !isUp.has(state)).length);
    if (process !== "") continue;
    gauges.set(
      "connections",
      labels,
      sumOf(group, ({ connections }) => connections),
    );
    gauges.set(
      "slots",
      labels,
      sumOf(group, ({ slots }) => slots),
    );
  }
}

/** One that has just started is up for visitors, if not yet for supervisord. */
const isUp = new Set(["RUNNING", "STARTING"]);

function sumOf<T>(items: T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}
