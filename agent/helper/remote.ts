import type { Config } from "../../shared/config.ts";
import type { BuildContext, Environments } from "../contracts/ports.ts";
import type {
  CommandRequest,
  Instance,
  Privileged,
  ProcessGroup,
  ProgramStatus,
  RunSpec,
  SiteRequest,
} from "../contracts/privileged.ts";
import type { CommandEnvironment } from "../contracts/service.ts";
import { ReleaseDirectories, type ReleaseDirectoriesOptions } from "../host/bundle/releases.ts";
import { SupervisorLogs } from "../host/supervisor/instance-logs.ts";
import type { HelperClient } from "./client.ts";

/** The border of an agent that is not root: each method is one request to the helper. */
export class RemotePrivileged implements Privileged {
  readonly #helper: HelperClient;

  constructor(helper: HelperClient) {
    this.#helper = helper;
  }

  /** The directories that the agent needs before it starts. */
  prepareHost(): Promise<void> {
    return this.#helper.call({ method: "prepareHost", params: {} });
  }

  prepareApp(app: string): Promise<void> {
    return this.#helper.call({ method: "prepareApp", params: { app } });
  }

  removeApp(app: string): Promise<void> {
    return this.#helper.call({ method: "removeApp", params: { app } });
  }

  instances(spec: RunSpec): Promise<Instance[]> {
    return this.#helper.call({ method: "instances", params: plain(spec) });
  }

  runCommand(spec: RunSpec, { argv, timeoutMs, signal, onOutput }: CommandRequest): Promise<number> {
    const params = { spec: plain(spec), argv, timeoutMs };
    return this.#helper.call({ method: "runCommand", params }, { signal, onOutput });
  }

  maskSecrets(app: string, texts: string[]): Promise<string[]> {
    return this.#helper.call({ method: "maskSecrets", params: { app, texts } });
  }

  commandEnvironment(spec: RunSpec): Promise<CommandEnvironment> {
    return this.#helper.call({ method: "commandEnvironment", params: plain(spec) });
  }

  sealRelease(app: string, release: string): Promise<void> {
    return this.#helper.call({ method: "sealRelease", params: { app, release } });
  }

  startPrograms(spec: RunSpec): Promise<void> {
    return this.#helper.call({ method: "startPrograms", params: plain(spec) });
  }

  programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return this.#helper.call({ method: "programs", params: { app, run } });
  }

  startProcess(spec: RunSpec, process: string): Promise<void> {
    return this.#helper.call({ method: "startProcess", params: { spec: plain(spec), process } });
  }

  processes(app: string): Promise<ProcessGroup[]> {
    return this.#helper.call({ method: "processes", params: { app } });
  }

  stopProcess(app: string, run: string, process: string): Promise<void> {
    return this.#helper.call({ method: "stopProcess", params: { app, run, process } });
  }

  removeProcess(app: string, run: string, process: string): Promise<void> {
    return this.#helper.call({ method: "removeProcess", params: { app, run, process } });
  }

  removePrograms(app: string, run: string): Promise<void> {
    return this.#helper.call({ method: "removePrograms", params: { app, run } });
  }

  runs(app: string): Promise<string[]> {
    return this.#helper.call({ method: "runs", params: { app } });
  }

  checkSite(app: string, config: Config): Promise<void> {
    return this.#helper.call({ method: "checkSite", params: { app, config } });
  }

  writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }> {
    return this.#helper.call({ method: "writeSite", params: { app, site } });
  }

  upstreamServers(app: string): Promise<{ main: string[]; preview: string[] }> {
    return this.#helper.call({ method: "upstreamServers", params: { app } });
  }

  oldWorkers(): Promise<boolean> {
    return this.#helper.call({ method: "oldWorkers", params: {} });
  }
}

/** Environments are built by the app's user and kept by root: the helper reads the manifest itself. */
export class RemoteEnvironments implements Environments {
  readonly #helper: HelperClient;

  constructor(helper: HelperClient) {
    this.#helper = helper;
  }

  build({ app, release, reuse, onOutput, signal }: BuildContext): Promise<{ key: string; reused: boolean }> {
    const params = { app, release, reuse };
    return this.#helper.call({ method: "buildEnvironment", params }, { onOutput, signal });
  }

  present(app: string, release: string): Promise<boolean> {
    return this.#helper.call({ method: "environmentPresent", params: { app, release } });
  }

  prune(app: string, kept: string[]): Promise<void> {
    return this.#helper.call({ method: "collectEnvironments", params: { app, kept } });
  }
}

/** The agent unpacks releases itself; those that were built are no longer its own to remove. */
export class RemoteReleases extends ReleaseDirectories {
  readonly #helper: HelperClient;

  constructor(options: ReleaseDirectoriesOptions, helper: HelperClient) {
    super(options);
    this.#helper = helper;
  }

  override remove(app: string, release: string): Promise<void> {
    return this.#helper.call({ method: "removeRelease", params: { app, release } });
  }
}

/** The agent reads the logs, which supervisord writes as root. */
export class RemoteLogs extends SupervisorLogs {
  readonly #helper: HelperClient;

  constructor(data: string, confDir: string, helper: HelperClient) {
    super(data, confDir);
    this.#helper = helper;
  }

  override prune(app: string, kept: string[]): Promise<void> {
    return this.#helper.call({ method: "collectLogs", params: { app, kept } });
  }
}

/** Nothing but its own fields, as the helper takes them. */
function plain({ app, run, release, config }: RunSpec): RunSpec {
  return { app, run, release, config };
}
