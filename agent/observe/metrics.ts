import { X509Certificate } from "node:crypto";
import { asCutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { AppView, DeploymentEvent, DeploymentView } from "../../shared/protocol.ts";
import type { Service } from "../contracts/service.ts";
import { Counter, type Family, Histogram, renderMetrics, type Sample } from "./prometheus.ts";

interface MetricsParts {
  service: Pick<Service, "apps" | "app">;
  version: string;
  /** Free bytes on the file system of the releases. */
  freeBytes(): Promise<number>;
}

/** In seconds: from a rename to a build that takes an hour. */
const phaseBounds = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

type Labels = Record<string, string>;

/**
 * The agent's metrics. Counters start at zero when the agent starts, as Prometheus expects; gauges are read at each request.
 * Labels are apps, words of closed sets, and processes of cutover.yml. Only `cutover_release_info` names releases.
 */
export class Metrics {
  readonly #parts: MetricsParts;
  readonly #deployments = new Counter();
  readonly #failures = new Counter();
  readonly #phases = new Histogram(phaseBounds);
  readonly #drained = new Counter();
  readonly #cut = new Counter();
  readonly #refused = new Counter();
  readonly #webhooks = new Counter();
  /** What was counted for the last deployments, since some end twice: a staged one that is aborted, one whose undo is tried again. */
  readonly #ended = new Map<string, { outcome: string; cut: number; drained: number }>();
  #certificate: { expires: number; readable: boolean } | undefined;
  #rendering: Promise<string> | undefined;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
  }

  event(app: string, event: DeploymentEvent): void {
    if (event.type === "state") this.#phases.observe({ app, phase: event.state }, event.took / 1000);
    if (event.type === "end") this.#end(event.deployment);
  }

  cut(app: string, requests: number): void {
    this.#cut.add({ app }, requests);
  }

  refused(reason: string): void {
    this.#refused.add({ reason });
  }

  /** @param pem the certificate that the agent uses from now on */
  certificate(pem: string): void {
    this.#certificate = { expires: Date.parse(new X509Certificate(pem).validTo) / 1000, readable: true };
  }

  /** The renewed certificate cannot be used, so the agent goes on with the old one. */
  certificateBroken(): void {
    if (this.#certificate !== undefined) this.#certificate.readable = false;
  }

  webhook(result: "delivered" | "failed"): void {
    this.#webhooks.add({ result });
  }

  /** Requests at the same time share one answer. */
  render(): Promise<string> {
    this.#rendering ??= this.#render().finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }

  #end({ id, app, kind, outcome, failure, cut = 0, drained = 0 }: DeploymentView): void {
    const before = this.#ended.get(id) ?? { outcome: "", cut: 0, drained: 0 };
    if (before.outcome !== outcome) {
      this.#deployments.add({ app, kind, result: outcome });
      if (failure !== undefined) this.#failures.add({ app, code: failure.code });
    }
    this.#cut.add({ app }, cut - before.cut);
    this.#drained.add({ app }, drained - before.drained);
    this.#ended.set(id, { outcome, cut, drained });
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > 100 && oldest !== undefined) this.#ended.delete(oldest);
  }

  async #render(): Promise<string> {
    const { service, version } = this.#parts;
    const free = await this.#parts.freeBytes().catch(() => undefined);
    const gauges = new Gauges();
    // An app whose state or programs cannot be read must not hide the others.
    for (const app of await service.apps()) {
      try {
        describe(gauges, await service.app(app));
      } catch (thrown) {
        gauges.set("readable", { app }, 0);
        if (asCutoverError(thrown).code === "state_unreadable") gauges.set("held", { app }, 1);
      }
    }
    const counters: [string, string, Sample[]][] = [
      ["cutover_deployments_total", "Deployments that ended, by kind and result.", this.#deployments.samples()],
      [
        "cutover_deployment_failures_total",
        "Deployments that failed or were aborted, by code.",
        this.#failures.samples(),
      ],
      [
        "cutover_requests_drained_total",
        "Requests that old instances finished after the traffic had left.",
        this.#drained.samples(),
      ],
      [
        "cutover_requests_cut_total",
        "Requests still open on old instances when they were stopped.",
        this.#cut.samples(),
      ],
      ["cutover_refused_calls_total", "Calls whose token was refused, by reason.", this.#refused.samples()],
      ["cutover_webhooks_total", "Webhooks, by result.", this.#webhooks.samples()],
    ];
    const phases: Family = {
      name: "cutover_deployment_phase_seconds",
      help: "How long deployments took to reach each state from the previous one.",
      type: "histogram",
      samples: this.#phases.samples(),
    };
    return renderMetrics([
      gauge("cutover_agent_info", "The agent's version.", [{ labels: { version }, value: 1 }]),
      ...(free === undefined
        ? []
        : [
            gauge("cutover_disk_free_bytes", "Free bytes on the file system of the releases.", [
              { labels: {}, value: free },
            ]),
          ]),
      ...certificateGauges(this.#certificate),
      ...counters.map(([name, help, samples]): Family => ({ name, help, type: "counter", samples })),
      phases,
      ...gauges.families(),
    ]);
  }
}

function certificateGauges(certificate: { expires: number; readable: boolean } | undefined): Family[] {
  if (certificate === undefined) return [];
  const one = (value: number) => [{ labels: {}, value }];
  return [
    gauge(
      "cutover_certificate_expiry_timestamp_seconds",
      "When the agent's certificate expires.",
      one(certificate.expires),
    ),
    gauge(
      "cutover_certificate_readable",
      "Whether the certificate on disk can be used: 0 if a renewal is broken.",
      one(certificate.readable ? 1 : 0),
    ),
  ];
}

function gauge(name: string, help: string, samples: Sample[]): Family {
  return { name, help, type: "gauge", samples };
}

const gaugeNames = {
  readable: [
    "cutover_app_readable",
    "Whether the app's state could be read: 0 if its state file or supervisord fails.",
  ],
  held: ["cutover_app_held", "Whether the app is held: it takes no deployments until a person has looked at it."],
  maintenance: ["cutover_app_maintenance", "Whether the site is closed for maintenance."],
  release: ["cutover_release_info", "The live release and the staged one."],
  up: ["cutover_instances_up", "Instances and processes that supervisor reports as RUNNING."],
  wanted: ["cutover_instances_wanted", "Instances and processes that should run."],
  connections: ["cutover_connections", "Open requests on instances."],
  slots: ["cutover_slots", "Slots of the app's upstream that lead to instances."],
  weight: ["cutover_canary_weight_percent", "The share of the traffic that the canary has, in percent."],
  running: ["cutover_deployment_running", "Whether a deployment is running."],
  last: ["cutover_last_deployment_timestamp_seconds", "When the last deployment ended."],
  succeeded: ["cutover_last_deployment_succeeded", "Whether the last deployment succeeded or staged its release."],
} as const;

class Gauges {
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

function describe(gauges: Gauges, view: AppView): void {
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

function describeReleases(gauges: Gauges, { app, live, staged, releases }: AppView): void {
  for (const [role, run] of [["live", live] as const, ["staged", staged] as const]) {
    if (run === null) continue;
    const { commit = "", repository = "" } = releases.find(({ id }) => id === releaseOfRun(run)) ?? {};
    gauges.set("release", { app, role, release: releaseOfRun(run), commit, repository }, 1);
  }
}

function describeInstances(gauges: Gauges, { app, live, staged, warm, instances }: AppView): void {
  const roleOf = (run: string) =>
    run === live ? "live" : run === staged ? "staged" : run === warm?.run ? "warm" : "leaving";
  const groups = Map.groupBy(instances, ({ run, process = "" }) => JSON.stringify([roleOf(run), process]));
  for (const [key, group] of groups) {
    const [role = "", process = ""] = JSON.parse(key) as string[];
    const labels = { app, role, ...(process !== "" && { process }) };
    gauges.set("up", labels, group.filter(({ state }) => state === "RUNNING").length);
    gauges.set("wanted", labels, group.length);
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

function sumOf<T>(items: T[], count: (item: T) => number): number {
  return items.reduce((total, item) => total + count(item), 0);
}
