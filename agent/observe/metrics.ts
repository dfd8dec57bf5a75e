import { X509Certificate } from "node:crypto";
import { asCutoverError } from "../../shared/errors.ts";
import type { DeploymentEvent, DeploymentView } from "../../shared/protocol.ts";
import type { Requests } from "../contracts/requests.ts";
import type { Service } from "../contracts/service.ts";
import { AppGauges, describeApp } from "./app-gauges.ts";
import {
  Counter,
  type Family,
  gauge,
  Histogram,
  type MetricsFormat,
  renderMetrics,
  type Sample,
} from "./prometheus.ts";
import { requestFamilies } from "./request-metrics.ts";

interface MetricsParts {
  service: Pick<Service, "apps" | "app">;
  /** Without it the metrics have no visitors' requests. */
  requests?: Pick<Requests, "totals" | "latest">;
  version: string;
  /** Free bytes on the file system of the releases. */
  freeBytes(): Promise<number>;
}

/** In seconds: from a rename to a build that takes an hour. */
const phaseBounds = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

/**
 * The agent's metrics. Counters start at zero when the agent starts, as Prometheus expects, but for those of visitors' requests,
 * which go on; gauges are read at each request.
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
  readonly #orders = new Counter();
  /** When the certificate of each site with `tls: auto` expires, in seconds. */
  readonly #siteCertificates = new Map<string, number>();
  /** What was counted for the last deployments, since some end twice: a staged one that is aborted, one whose undo is tried again. */
  readonly #ended = new Map<string, { outcome: string; cut: number; drained: number }>();
  #certificate: { expires: number; readable: boolean } | undefined;
  readonly #rendering: Partial<Record<MetricsFormat, Promise<string>>> = {};

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

  /** @param expires of the certificate that a site has from now on, in milliseconds since the epoch */
  siteCertificate(app: string, expires: number): void {
    this.#siteCertificates.set(app, expires / 1000);
  }

  certificateOrder(app: string, result: "issued" | "failed"): void {
    this.#orders.add({ app, result });
  }

  webhook(result: "delivered" | "failed"): void {
    this.#webhooks.add({ result });
  }

  /** Requests at the same time share one answer. */
  render(format: MetricsFormat = "text"): Promise<string> {
    const rendering =
      this.#rendering[format] ??
      this.#render(format).finally(() => {
        delete this.#rendering[format];
      });
    this.#rendering[format] = rendering;
    return rendering;
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

  async #render(format: MetricsFormat): Promise<string> {
    const { service, requests, version } = this.#parts;
    const free = await this.#parts.freeBytes().catch(() => undefined);
    const gauges = new AppGauges();
    const apps = await service.apps();
    // An app whose state or programs cannot be read must not hide the others.
    for (const app of apps) {
      try {
        describeApp(gauges, await service.app(app));
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
      ["cutover_certificate_orders_total", "Certificates that sites were to get, by result.", this.#orders.samples()],
    ];
    const phases: Family = {
      name: "cutover_deployment_phase_seconds",
      help: "How long deployments took to reach each state from the previous one.",
      type: "histogram",
      samples: this.#phases.samples(),
    };
    const families = [
      gauge("cutover_agent_info", "The agent's version.", [{ labels: { version }, value: 1 }]),
      ...(free === undefined
        ? []
        : [
            gauge("cutover_disk_free_bytes", "Free bytes on the file system of the releases.", [
              { labels: {}, value: free },
            ]),
          ]),
      ...certificateGauges(this.#certificate),
      gauge(
        "cutover_site_certificate_expiry_timestamp_seconds",
        "When the certificate of a site that the agent gets it for expires.",
        [...this.#siteCertificates].map(([app, value]) => ({ labels: { app }, value })),
      ),
      ...counters.map(([name, help, samples]): Family => ({ name, help, type: "counter", samples })),
      phases,
      ...(requests === undefined ? [] : requestFamilies(requests, apps)),
      ...gauges.families(),
    ];
    return renderMetrics(families, format);
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
