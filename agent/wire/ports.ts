import type { EventFiles, Ports } from "../contracts/ports.ts";
import { HelperClient } from "../helper/client.ts";
import { remoteHost } from "../helper/remote.ts";
import { systemClock } from "../host/clock.ts";
import { localHost } from "../host/local-host.ts";
import { SocketProbe } from "../host/net/health.ts";
import { ProcNetConnections } from "../host/net/proc-net.ts";
import { MaintenanceFiles } from "../host/nginx/maintenance.ts";
import { NginxTraffic } from "../host/nginx/traffic.ts";
import { PythonSystem } from "../host/python/host-system.ts";
import { ReleaseEnvironments } from "../host/python/release-environments.ts";
import { OwnVisits } from "../host/requests/own-visits.ts";
import { RequestCounts } from "../host/requests/request-counts.ts";
import { AppsDirectory } from "../host/store/apps-dir.ts";
import { requestPlaces } from "../host/store/layout.ts";
import { StateFiles } from "../host/store/state-file.ts";
import type { Logger } from "../logger.ts";
import type { Host } from "./host.ts";

interface PortParts {
  events: EventFiles;
  version: string;
  logger: Logger;
}

/** All that the deploy code needs of this host. */
export async function openPorts(
  host: Host,
  { events, version, logger }: PortParts,
): Promise<{ ports: Ports; requests: RequestCounts; closePorts(): void }> {
  const { data, limits } = host.settings;
  const apps = new AppsDirectory(host.appsDir);
  const needsHelper = !host.embedded && process.geteuid?.() !== 0;
  const {
    privileged,
    environments: builder,
    closePorts,
    ...rest
  } = needsHelper ? await throughHelper(host, version) : inThisProcess(host, apps);
  const requests = new RequestCounts({
    places: requestPlaces(data),
    clock: systemClock,
    apps: () => apps.names(),
    rotate: (app) => privileged.rotateRequests(app),
    onTrouble: (err, message) => logger.warn({ err }, message),
  });
  const ports: Ports = {
    ...rest,
    privileged,
    environments: new ReleaseEnvironments({ data, jobs: limits.jobs, builder }),
    apps,
    events,
    clock: systemClock,
    states: new StateFiles(data),
    traffic: new NginxTraffic(data, privileged, requests),
    probe: new SocketProbe(version, host.settings, new OwnVisits(requestPlaces(data).visits)),
    connections: new ProcNetConnections(),
    maintenance: new MaintenanceFiles(data),
    requests,
    system: new PythonSystem(host.settings.python_path),
  };
  return { ports, requests, closePorts };
}

/** An agent with a user of its own asks the helper, which is root. */
async function throughHelper({ settings }: Host, version: string) {
  const helper = new HelperClient({ path: settings.helper, version });
  const parts = remoteHost(helper, settings);
  await parts.privileged.prepareHost();
  return { ...parts, closePorts: () => helper.close() };
}

/** An agent that is root, or an embedded one, to which everything below its directory belongs. */
function inThisProcess({ settings, embedded }: Host, apps: AppsDirectory) {
  return { ...localHost({ settings, apps, ownUser: embedded }), closePorts: () => {} };
}
