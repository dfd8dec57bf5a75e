import { dirname, join, resolve } from "node:path";
import type { EventFiles, Ports } from "../contracts/ports.ts";
import { HelperClient } from "../helper/client.ts";
import { remoteHost } from "../helper/remote.ts";
import { systemClock } from "../host/clock.ts";
import { startEmbedded } from "../host/embedded/embedded.ts";
import { localHost } from "../host/local-host.ts";
import { SocketProbe } from "../host/net/health.ts";
import { ProcNetConnections } from "../host/net/proc-net.ts";
import { MaintenanceFiles } from "../host/nginx/maintenance.ts";
import { NginxTraffic } from "../host/nginx/traffic.ts";
import { AppsDirectory, readAgentSettings } from "../host/store/apps-dir.ts";
import { StateFiles } from "../host/store/state-file.ts";
import type { AgentSettings } from "../settings.ts";

export interface HostOptions {
  /** agent.yml. */
  config: string;
  /** The directory of an nginx and a supervisord of the agent's own. */
  embedded?: string;
  /** For the first start of these: where the agent listens. */
  listen?: string;
}

/** Where the agent's files are, and what ends with it: nothing on a host, nginx and supervisord in embedded mode. */
export interface Host {
  settings: AgentSettings;
  appsDir: string;
  embedded: boolean;
  stop(): Promise<void>;
}

export async function openHost({ config, embedded, listen }: HostOptions): Promise<Host> {
  if (embedded !== undefined) {
    const host = await startEmbedded(resolve(embedded), listen === undefined ? {} : { listen });
    return { ...host, embedded: true };
  }
  const settings = await readAgentSettings(config);
  return { settings, appsDir: join(dirname(resolve(config)), "apps"), embedded: false, stop: async () => {} };
}

/** What only root may do, or what the agent itself may, where it is root or a host of its own. */
export function openBorder({ settings, embedded, appsDir }: Host, version: string) {
  const apps = new AppsDirectory(appsDir);
  if (embedded || process.geteuid?.() === 0) {
    return { apps, ...localHost({ settings, apps, ownUser: embedded }), prepare: async () => {}, close: () => {} };
  }
  const helper = new HelperClient({ path: settings.helper, version });
  const host = remoteHost(helper, settings);
  return { apps, ...host, prepare: () => host.privileged.prepareHost(), close: () => helper.close() };
}

type Border = ReturnType<typeof openBorder>;

interface PortParts {
  border: Border;
  events: EventFiles;
  version: string;
}

/** What the deploy code needs, by this host. */
export function createPorts({ settings }: Host, { border, events, version }: PortParts): Ports {
  const { data } = settings;
  const { apps, privileged, environments, releases, logs } = border;
  return {
    ...{ apps, privileged, environments, releases, logs, events },
    clock: systemClock,
    states: new StateFiles(data),
    traffic: new NginxTraffic(data, privileged),
    probe: new SocketProbe(version),
    connections: new ProcNetConnections(),
    maintenance: new MaintenanceFiles(data),
  };
}
