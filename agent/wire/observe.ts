import type { Ports } from "../contracts/ports.ts";
import type { Deployments } from "../deploy/deployments.ts";
import { freeBytes } from "../host/bundle/disk-space.ts";
import { AuditFiles } from "../host/store/audit-files.ts";
import type { Logger } from "../logger.ts";
import { AuditWithRefusals, endOf } from "../observe/audited.ts";
import { Metrics } from "../observe/metrics.ts";
import type { ObservedEvents } from "../observe/observed-events.ts";
import { Webhooks } from "../observe/webhooks.ts";
import type { AgentSettings } from "../settings.ts";
import { names } from "./listen.ts";

/** How long webhooks may take that are under way at shut-down. */
const graceMs = 2000;

interface Observed {
  version: string;
  events: ObservedEvents;
  deployments: Deployments;
  ports: Pick<Ports, "apps" | "requests">;
  logger: Logger;
}

/** Metrics, the audit log and webhooks: they follow the events of all deployments. */
export function observe(settings: AgentSettings, { version, events, deployments, ports, logger }: Observed) {
  const { requests } = ports;
  const metrics = new Metrics({ service: deployments, requests, version, freeBytes: () => freeBytes(settings.data) });
  const onError = (err: unknown) => logger.error({ err }, "the audit log could not be written");
  const files = new AuditFiles(settings.data, { onError });
  const audit = new AuditWithRefusals(files, (reason) => metrics.refused(reason));
  const webhooks = new Webhooks({
    webhooks: settings.webhooks,
    apps: ports.apps,
    host: names(settings)[0] ?? settings.listen,
    log: logger,
    onResult: (result) => metrics.webhook(result),
  });
  events.listen((app, event) => metrics.event(app, event));
  events.listen((_app, event) => {
    const entry = endOf(event);
    if (entry !== undefined) void audit.record(entry);
  });
  events.listen((app, event) => webhooks.event(app, event));
  return {
    metrics,
    audit,
    webhooks,
    async closeObservers(): Promise<void> {
      await webhooks.close(graceMs);
      await files.close();
    },
  };
}
