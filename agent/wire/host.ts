import { dirname, join, resolve } from "node:path";
import type { EventFiles, Ports } from "../contracts/ports.ts";
import { HelperClient } from "../helper/client.ts";
import { RemoteEnvironments, RemoteLogs, RemotePrivileged, RemoteReleases } from "../helper/remote.ts";
import { ReleaseDirectories } from "../host/bundle/releases.ts";
import { systemClock } from "../host/clock.ts";
import { startEmbedded } from "../host/embedded/embedded.ts";
import { SocketProbe } from "../host/net/health.ts";
import { ProcNetConnections } from "../host/net/proc-net.ts";
import { MaintenanceFiles } from "../host/nginx/maintenance.ts";
import { NginxTraffic } from "../host/nginx/traffic.ts";
import { LocalPrivileged } from "../host/privileged.ts";
import { PythonEnvironments } from "../host/python/environments.ts";
import { AppsDirectory, readAgentSettings } from "../host/store/apps-dir.ts";
import { StateFiles } from "../host/store/state-file.ts";
import { SupervisorLogs } from "../host/supervisor/instance-logs.ts";
import { launcherFile } from "../host/supervisor/launch-files.ts";
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
  const { data, limits, supervisor } = settings;
  const apps = new AppsDirectory(appsDir);
  if (!embedded && process.geteuid?.() !== 0) {
    const helper = new HelperClient({ path: settings.helper, version });
    const privileged = new RemotePrivileged(helper);
    return {
      apps,
      privileged,
      environments: new RemoteEnvironments(helper),
      releases: new RemoteReleases({ data, limits }, helper),
      logs: new RemoteLogs(data, supervisor.conf_dir, helper),
      prepare: () => privileged.prepareHost(),
      close: () => helper.close(),
    };
  }
  const privileged = new LocalPrivileged({ settings, apps, launcher: launcherFile(), ownUser: embedded });
  return {
    apps,
    privileged,
    environments: new PythonEnvironments({
      data,
      pythonPath: settings.python_path,
      jobs: limits.jobs,
      runStep: privileged.stepRunner(),
      owner: privileged.buildOwner(),
    }),
    releases: new ReleaseDirectories({ data, limits }),
    logs: new SupervisorLogs(data, supervisor.conf_dir),
    prepare: async () => {},
    close: () => {},
  };
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
