import { readTlsPair, tlsPaths, watchTlsFiles } from "../host/net/tls-files.ts";
import type { HttpApp } from "../http/call.ts";
import { type NetworkServer, startServer } from "../http/server.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { AgentSettings } from "../settings.ts";
import { allowedAddresses } from "../settings-values.ts";

/** How often the agent checks whether its certificate was renewed. */
const tlsLookMs = 5_000;

interface ListenParts {
  app: HttpApp;
  logger: Logger;
  metrics: Metrics;
  /** The directory of the unit's credentials, if systemd started the agent with some. */
  credentials: string | undefined;
}

/** Serves callers on the network as agent.yml says: from which addresses, and with which certificate. @throws CutoverError host_settings_invalid */
export async function listenOn(
  settings: AgentSettings,
  { app, logger, metrics, credentials }: ListenParts,
): Promise<{ server: NetworkServer; unwatch: Disposable }> {
  const allowed = allowedAddresses(settings.allow);
  const onRefused = (from: string) => {
    metrics.refused("address_not_allowed");
    logger.debug({ from }, "connection refused: agent.yml does not allow its address");
  };
  const connections = { ...settings.limits, onFull: (about: object) => logger.warn(about, "connections are refused") };
  const options = { app, allowed, onRefused, connections };
  if (settings.tls === undefined) {
    const server = await startServer(address(settings.listen), options);
    return { server, unwatch: { [Symbol.dispose]: () => undefined } };
  }
  const paths = tlsPaths(settings.tls, credentials);
  const tls = await readTlsPair(paths);
  const server = await startServer(address(settings.listen), { ...options, tls });
  metrics.certificate(tls.certificate);
  const unwatch = watchTlsFiles(tls, {
    paths,
    everyMs: tlsLookMs,
    renewed(pair) {
      server.renewTls(pair);
      metrics.certificate(pair.certificate);
      logger.info({ certificate: paths.certificate }, "certificate renewed");
    },
    broken(err) {
      metrics.certificateBroken();
      logger.error({ err }, "the renewed certificate cannot be used; the agent goes on with the old one");
    },
  });
  return { server, unwatch };
}

/** If agent.yml names none, the agent answers to the address that it listens on. */
export function names({ names, listen }: AgentSettings): string[] {
  return names.length > 0 ? names : [listen];
}

export function address(listen: string): { host: string; port: number } {
  const separator = listen.lastIndexOf(":");
  return { host: listen.slice(0, separator).replace(/^\[|\]$/g, ""), port: Number(listen.slice(separator + 1)) };
}
