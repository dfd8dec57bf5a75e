import type { AuditLog, Ports } from "../contracts/ports.ts";
import type { CertificateService, Service } from "../contracts/service.ts";
import type { PinnedRepositories, UsedTokens } from "../contracts/token-stores.ts";
import { IssuerKeyFiles } from "../host/trust/issuer-keys.ts";
import { startAdminServer } from "../http/admin-server.ts";
import { createHttpApp } from "../http/app.ts";
import { localOperator, tokenAuthorizer } from "../http/auth/authorize.ts";
import { TrustBook } from "../http/auth/trust-view.ts";
import { CallLimiter } from "../http/call-limits.ts";
import { createMetricsApp } from "../http/metrics.ts";
import { type RunningServer, startServer } from "../http/server.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { AgentSettings } from "../settings.ts";
import { address, listenOn, names } from "./listen.ts";

/** What the calls of all three interfaces need. */
interface CallParts {
  deployments: Service;
  ports: Pick<Ports, "apps">;
  metrics: Metrics;
  audit: AuditLog;
  learnt: PinnedRepositories;
  certificates: CertificateService;
  logger: Logger;
  version: string;
}

/** For local operators: all calls, without a token. @throws AnotherAgent, CutoverError host_settings_invalid */
export function openAdminSocket(settings: AgentSettings, parts: CallParts): Promise<RunningServer> {
  const { deployments, ports, metrics, audit, learnt, certificates, logger, version } = parts;
  const app = createHttpApp({
    ...{ service: deployments, logger, version, audit },
    authorize: localOperator(),
    admin: true,
    certificates,
    trust: new TrustBook(ports.apps, learnt, settings.github),
    metrics: (format) => metrics.render(format),
  });
  return startAdminServer({ path: settings.socket, app });
}

interface NetworkParts extends CallParts {
  spent: UsedTokens;
  /** The directory of the unit's credentials, if systemd started the agent with some. */
  credentials: string | undefined;
}

/** For callers with a token, at `listen`. @throws CutoverError host_settings_invalid */
export async function openNetwork(settings: AgentSettings, parts: NetworkParts): Promise<RunningServer> {
  const { deployments, ports, metrics, audit, learnt, spent, logger, version, credentials } = parts;
  const { github, limits } = settings;
  const authorize = tokenAuthorizer({
    apps: ports.apps,
    spent,
    names: names(settings),
    github: { issuers: github, learnt, keys: issuerKeys(settings, logger) },
    logger,
  });
  const app = createHttpApp({
    ...{ service: deployments, logger, version, audit },
    authorize,
    limiter: new CallLimiter({ limits }),
    ...(settings.metrics === true && { metrics: (format) => metrics.render(format) }),
  });
  const { server, unwatch } = await listenOn(settings, { app, logger, metrics, credentials });
  return {
    ...server,
    close(graceMs) {
      unwatch[Symbol.dispose]();
      return server.close(graceMs);
    },
  };
}

/** For monitors, if agent.yml gives the metrics an address of their own. @throws CutoverError host_settings_invalid */
export async function openMetrics(settings: AgentSettings, { metrics, logger }: CallParts): Promise<RunningServer[]> {
  if (typeof settings.metrics !== "string") return [];
  const app = createMetricsApp({ logger, metrics: (format) => metrics.render(format) });
  return [await startServer(address(settings.metrics), { app, connections: settings.limits })];
}

function issuerKeys({ data, github }: AgentSettings, logger: Logger): IssuerKeyFiles {
  const onTrouble = (issuer: string, detail: string) =>
    logger.warn({ issuer, detail }, "trouble with an issuer's keys");
  return new IssuerKeyFiles({ data, issuers: github, onTrouble });
}
