import type { Config } from "../../shared/config.ts";
import type { BuildContext } from "../contracts/ports.ts";
import type {
  CommandRequest,
  Instance,
  Privileged,
  ProcessGroup,
  ProgramStatus,
  RunSpec,
  SiteRequest,
  UpstreamServers,
} from "../contracts/privileged.ts";
import type { CommandEnvironment } from "../contracts/service.ts";
import { ReleaseDirectories, type ReleaseDirectoriesOptions } from "../host/bundle/releases.ts";
import type { CompileRequest } from "../host/python/compile.ts";
import type { BuiltEnvironment, EnvironmentBuilder } from "../host/python/environments.ts";
import { SupervisorLogs } from "../host/supervisor/instance-logs.ts";
import type { AgentSettings } from "../settings.ts";
import type { HelperClient } from "./client.ts";

/** The border of an agent that is not root: each method is one request to the helper, checked by the table in methods.ts. */
export class RemotePrivileged implements Privileged {
  readonly #helper: HelperClient;

  constructor(helper: HelperClient) {
    this.#helper = helper;
  }

  /** Makes the directories that the agent needs before it starts. */
  prepareHost(): Promise<void> {
    return this.#helper.call("prepareHost", {});
  }

  prepareApp(app: string): Promise<void> {
    return this.#helper.call("prepareApp", { app });
  }

  removeApp(app: string, data = false): Promise<void> {
    return this.#helper.call("removeApp", { app, data });
  }

  instances(spec: RunSpec): Promise<Instance[]> {
    return this.#helper.call("instances", plain(spec));
  }

  listening(spec: RunSpec): Promise<string[]> {
    return this.#helper.call("listening", plain(spec));
  }

  strayListeners(spec: RunSpec): Promise<string[]> {
    return this.#helper.call("strayListeners", plain(spec));
  }

  runCommand(spec: RunSpec, { argv, timeoutMs, signal, onOutput }: CommandRequest): Promise<number> {
    const params = { spec: plain(spec), argv, timeoutMs };
    return this.#helper.call("runCommand", params, { signal, onOutput });
  }

  maskSecrets(app: string, texts: string[]): Promise<string[]> {
    return this.#helper.call("maskSecrets", { app, texts });
  }

  commandEnvironment(spec: RunSpec): Promise<CommandEnvironment> {
    return this.#helper.call("commandEnvironment", plain(spec));
  }

  shareRelease(app: string, release: string): Promise<void> {
    return this.#helper.call("sealRelease", { app, release });
  }

  startPrograms(spec: RunSpec): Promise<void> {
    return this.#helper.call("startPrograms", plain(spec));
  }

  programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return this.#helper.call("programs", { app, run });
  }

  revivePrograms(app: string, run: string, stopped: boolean): Promise<ProgramStatus[] | undefined> {
    return this.#helper.call("revivePrograms", { app, run, stopped });
  }

  fullShare(app: string, run: string): Promise<void> {
    return this.#helper.call("fullShare", { app, run });
  }

  startProcess(spec: RunSpec, process: string): Promise<void> {
    return this.#helper.call("startProcess", { spec: plain(spec), process });
  }

  processes(app: string): Promise<ProcessGroup[]> {
    return this.#helper.call("processes", { app });
  }

  stopProcess(app: string, run: string, process: string): Promise<void> {
    return this.#helper.call("stopProcess", { app, run, process });
  }

  removeProcess(app: string, run: string, process: string): Promise<void> {
    return this.#helper.call("removeProcess", { app, run, process });
  }

  removePrograms(app: string, run: string): Promise<void> {
    return this.#helper.call("removePrograms", { app, run });
  }

  runs(app: string): Promise<string[]> {
    return this.#helper.call("runs", { app });
  }

  checkSite(app: string, config: Config): Promise<void> {
    return this.#helper.call("checkSite", { app, config });
  }

  certificateRequest(app: string, names: string[]): Promise<string> {
    return this.#helper.call("certificateRequest", { app, names });
  }

  installCertificate(app: string, chain: string): Promise<void> {
    return this.#helper.call("installCertificate", { app, chain });
  }

  certificate(app: string): Promise<string | undefined> {
    return this.#helper.call("certificate", { app });
  }

  writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }> {
    return this.#helper.call("writeSite", { app, site });
  }

  rotateRequests(app: string): Promise<void> {
    return this.#helper.call("rotateRequests", { app });
  }

  upstreamServers(app: string): Promise<UpstreamServers> {
    return this.#helper.call("upstreamServers", { app });
  }

  oldWorkers(): Promise<boolean> {
    return this.#helper.call("oldWorkers", {});
  }
}

/** The app's user builds environments, and root keeps them. The helper reads the manifest itself. */
export class RemoteEnvironments implements EnvironmentBuilder {
  readonly #helper: HelperClient;

  constructor(helper: HelperClient) {
    this.#helper = helper;
  }

  build({ app, release, onOutput, signal }: BuildContext): Promise<BuiltEnvironment> {
    return this.#helper.call("buildEnvironment", { app, release }, { onOutput, signal });
  }

  async compile({ app, release, paths, version, signal }: CompileRequest): Promise<(Buffer | null)[]> {
    const params = { app, release, paths, ...(version !== undefined && { version }) };
    const made = await this.#helper.call("compileBytecode", params, { signal });
    return made.map((text) => (text === null ? null : Buffer.from(text, "base64")));
  }

  present(app: string, release: string): Promise<boolean> {
    return this.#helper.call("environmentPresent", { app, release });
  }

  prune(app: string, kept: string[]): Promise<void> {
    return this.#helper.call("collectEnvironments", { app, kept });
  }
}

/** The agent unpacks releases itself. Built ones belong to another user, so the helper removes them. */
export class RemoteReleases extends ReleaseDirectories {
  readonly #helper: HelperClient;

  constructor(options: ReleaseDirectoriesOptions, helper: HelperClient) {
    super(options);
    this.#helper = helper;
  }

  override remove(app: string, release: string): Promise<void> {
    return this.#helper.call("removeRelease", { app, release });
  }
}

/** The agent reads the logs. supervisord writes them as root, so the helper removes them. */
export class RemoteLogs extends SupervisorLogs {
  readonly #helper: HelperClient;

  constructor(data: string, confDir: string, helper: HelperClient) {
    super(data, confDir);
    this.#helper = helper;
  }

  override prune(app: string, kept: string[]): Promise<void> {
    return this.#helper.call("collectLogs", { app, kept });
  }
}

/** All parts of an agent that is not root. They share one connection to the helper. */
export function remoteHost(helper: HelperClient, { data, limits, supervisor }: AgentSettings) {
  return {
    privileged: new RemotePrivileged(helper),
    environments: new RemoteEnvironments(helper),
    releases: new RemoteReleases({ data, limits }, helper),
    logs: new RemoteLogs(data, supervisor.conf_dir, helper),
  };
}

/** Only its own fields: the helper refuses others. */
function plain({ app, run, release, config }: RunSpec): RunSpec {
  return { app, run, release, config };
}
