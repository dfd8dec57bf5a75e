import { CertificateManager } from "../certificates/manager.ts";
import type { Ports } from "../contracts/ports.ts";
import type { Deployments } from "../deploy/deployments.ts";
import { AcmeAuthority } from "../host/certificates/acme-authority.ts";
import { CertificateRecordFiles } from "../host/certificates/record-files.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ObservedEvents } from "../observe/observed-events.ts";
import type { Webhooks } from "../observe/webhooks.ts";
import type { AgentSettings } from "../settings.ts";

interface CertificateParts {
  ports: Pick<Ports, "apps" | "privileged" | "clock">;
  deployments: Deployments;
  events: ObservedEvents;
  metrics: Metrics;
  webhooks: Webhooks;
  logger: Logger;
}

/** Gets the certificates of sites with `tls: auto`, from its start on. A site is looked at when a deployment of it has ended. */
export function certificateManager(settings: AgentSettings, parts: CertificateParts): CertificateManager {
  const { ports, deployments, events, metrics, webhooks, logger } = parts;
  const { data, acme } = settings;
  const manager = new CertificateManager({
    apps: ports.apps,
    privileged: ports.privileged,
    clock: ports.clock,
    sites: deployments.operations,
    authority: new AcmeAuthority({ data, settings: acme }),
    records: new CertificateRecordFiles(data),
    log: logger,
    onCertificate: (app, expires) => metrics.siteCertificate(app, expires),
    onOrder: (app, result) => metrics.certificateOrder(app, result),
    onFailure: (failure) => webhooks.certificateFailed(failure),
  });
  events.listen((app, event) => {
    if (event.type === "end") manager.wake(app);
  });
  return manager;
}
