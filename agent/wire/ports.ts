import type { EventFiles, Ports } from "../contracts/ports.ts";
import { HelperClient } from "../helper/client.ts";
import { RemoteEnvironments, RemoteLogs, RemotePrivileged, RemoteReleases } from "../helper/remote.ts";
import { ReleaseDirectories } from "../host/bundle/releases.ts";
import { systemClock } from "../host/clock.ts";
import { SocketProbe } from "../host/net/health.ts";
import { ProcNetConnections } from "../host/net/proc-net.ts";
import { NginxTraffic } from "../host/nginx/traffic.ts";
import { LocalPrivileged } from "../host/privileged.ts";
import { PythonEnvironments } from "../host/python/python.ts";
import { AppsDirectory } from "../host/store/apps-dir.ts";
import { MaintenanceFiles } from "../host/store/maintenance.ts";
import { StateFiles } from "../host/store/state-file.ts";
import { SupervisorLogs } from "../host/supervisor/instance-logs.ts";
import { launcherFile } from "../host/supervisor/launcher.ts";
import type { Host } from "./host.ts";

interface PortParts {
  events: EventFiles;
  version: string;
}

/** All that the deploy code needs of this host. */
export async function openPorts(
  host: Host,
  { events, version }: PortParts,
): Promise<{ ports: Ports; closePorts(): void }> {
  const { data } = host.settings;
  const apps = new AppsDirectory(host.appsDir);
  const needsHelper = !host.embedded && process.geteuid?.() !== 0;
  const { privileged, closePorts, ...rest } = needsHelper
    ? await throughHelper(host, version)
    : inThisProcess(host, apps);
  const ports: Ports = {
    ...rest,
    privileged,
    apps,
    events,
    clock: systemClock,
    states: new StateFiles(data),
    traffic: new NginxTraffic(data, privileged),
    probe: new SocketProbe(version),
    connections: new ProcNetConnections(),
    maintenance: new MaintenanceFiles(data),
  };
  return { ports, closePorts };
}

/** An agent with a user of its own asks the helper, which is root. */
async function throughHelper({ settings }: Host, version: string) {
  const { data, limits, supervisor } = settings;
  const helper = new HelperClient({ path: settings.helper, version });
  const privileged = new RemotePrivileged(helper);
  await privileged.prepareHost();
  return {
    privileged,
    environments: new RemoteEnvironments(helper),
    releases: new RemoteReleases({ data, limits }, helper),
    logs: new RemoteLogs(data, supervisor.conf_dir, helper),
    closePorts: () => helper.close(),
  };
}

/** An agent that is root, or an embedded one, to which everything below its directory belongs. */
function inThisProcess({ settings, embedded }: Host, apps: AppsDirectory) {
  const { data, limits, supervisor } = settings;
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: embedded });
  return {
    privileged,
    environments: new PythonEnvironments({
      data,
      pythonPath: settings.python_path,
      jobs: limits.jobs,
      runStep: privileged.stepRunner(),
      trees: privileged.buildTrees(),
    }),
    releases: new ReleaseDirectories({ data, limits }),
    logs: new SupervisorLogs(data, supervisor.conf_dir),
    closePorts: () => {},
  };
}
