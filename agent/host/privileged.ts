import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { appName, releaseId } from "../../shared/names.ts";
import type { Apps, Clock } from "../contracts/ports.ts";
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
import { permitNames } from "../host-policy.ts";
import type { AgentSettings, AppSettings } from "../settings.ts";
import { SiteCertificates } from "./certificates/site-certificates.ts";
import { systemClock } from "./clock.ts";
import { commandEnvironment, runCommand, secretsMask } from "./exec/app-commands.ts";
import { AppSteps } from "./exec/app-steps.ts";
import type { HostApp } from "./exec/host-app.ts";
import type { StepRunner } from "./exec/step.ts";
import { ownListeners } from "./net/listeners.ts";
import { tcpSockets } from "./net/proc-net.ts";
import { strayListeners } from "./net/stray-listeners.ts";
import { Sites } from "./nginx/site.ts";
import { AppDirectories } from "./ownership/app-directories.ts";
import { assertOwnGroup } from "./ownership/own-group.ts";
import { makeReadOnly } from "./ownership/read-only.ts";
import { isOpened, openRelease, type ReleaseAccess } from "./ownership/release-access.ts";
import { Scratches } from "./ownership/scratches.ts";
import type { Owner } from "./ownership/trees.ts";
import { type AppUser, appUser, assertNotAgent, groupId } from "./ownership/users.ts";
import { assertWritable } from "./ownership/writable.ts";
import type { BuildOwner } from "./python/environments.ts";
import { type AppLayout, appLayout } from "./store/layout.ts";
import { AppPrograms } from "./supervisor/app-programs.ts";
import { Supervisor } from "./supervisor/supervisor.ts";

export interface LocalPrivilegedOptions {
  settings: AgentSettings;
  apps: Apps;
  /** The file of the launcher: agent/launch.ts, or the built launch.mjs. */
  launcher: string;
  /** The node that runs the launcher; that of this process unless given. */
  node?: string;
  /** Embedded mode: an app without `user` runs as the agent's user, even if that is root. */
  ownUser?: boolean;
  /** In the helper: the user of the agent, which is another process. Unset if this process is the agent. */
  agent?: Owner;
  clock?: Clock;
}

/** Acts on this host directly, as the user of this process: root, or in embedded mode any user. */
export class LocalPrivileged implements Privileged {
  readonly #options: LocalPrivilegedOptions;
  readonly #directories: AppDirectories;
  readonly #programs: AppPrograms;
  readonly #scratches: Scratches;
  readonly #steps: AppSteps;
  readonly #sites: Sites;
  readonly #certificates: SiteCertificates;
  /** By app and run. */
  readonly #looking = new Map<string, Promise<string[]>>();

  constructor(options: LocalPrivilegedOptions) {
    this.#options = options;
    const { settings, apps, agent, clock = systemClock } = options;
    const { data, supervisor } = settings;
    const confDir = supervisor.conf_dir;
    const launcher = { node: options.node ?? process.execPath, file: options.launcher };
    this.#directories = new AppDirectories({ settings, agent });
    this.#programs = new AppPrograms({
      ...{ data, confDir, apps, clock, launcher },
      directories: this.#directories,
      supervisor: new Supervisor({ socket: supervisor.socket, confDir }),
    });
    this.#scratches = new Scratches(agent);
    this.#steps = new AppSteps({ settings, launcher, scratches: this.#scratches });
    this.#certificates = new SiteCertificates(data, agent);
    this.#sites = new Sites(settings, this.#certificates, clock);
  }

  prepareHost(): Promise<void> {
    return this.#directories.prepareHost();
  }

  async prepareApp(app: string): Promise<void> {
    const { layout, user } = await this.#ownApp(app);
    const { nginx, supervisor } = this.#options.settings;
    await assertWritable([supervisor.conf_dir, nginx.conf_dir, nginx.log_dir]);
    await this.#directories.prepare(layout, user);
  }

  instances(spec: RunSpec): Promise<Instance[]> {
    return this.#programs.instances(spec);
  }

  /** The instances of a run are asked for at the same moments, so one look does for all of them. */
  listening(spec: RunSpec): Promise<string[]> {
    const key = `${spec.app}/${spec.run}`;
    const looking = this.#looking.get(key) ?? this.#listeners(spec).finally(() => this.#looking.delete(key));
    this.#looking.set(key, looking);
    return looking;
  }

  async #listeners(spec: RunSpec): Promise<string[]> {
    const { user } = await this.#app(spec.app);
    const uid = user.other?.uid ?? process.geteuid?.() ?? 0;
    return ownListeners(await this.instances(spec), await tcpSockets(), uid);
  }

  async strayListeners(spec: RunSpec): Promise<string[]> {
    const programs = (await this.programs(spec.app, spec.run)) ?? [];
    return strayListeners(
      programs.map(({ pid }) => pid).filter((pid) => pid !== 0),
      await this.instances(spec),
    );
  }

  async runCommand(spec: RunSpec, command: CommandRequest): Promise<number> {
    return runCommand(await this.#ownApp(spec.app), this.#steps, spec, command);
  }

  async maskSecrets(app: string, texts: string[]): Promise<string[]> {
    return texts.map(await secretsMask(await this.#app(app)));
  }

  async commandEnvironment(spec: RunSpec): Promise<CommandEnvironment> {
    return commandEnvironment(await this.#app(spec.app), spec);
  }

  /** Runs steps of builds as the build user, confined. */
  stepRunner(): StepRunner {
    return async (app, step) => this.#steps.build(await this.#app(app), step);
  }

  /** Where builds work. Only for what builds environments. */
  buildOwner(): BuildOwner {
    return {
      scratch: async (app, parts) => {
        const { layout, user } = await this.#app(app);
        return user.other === undefined ? undefined : this.#scratches.make(layout, parts);
      },
      clear: (app) => this.#scratches.collect(this.#layout(app)),
    };
  }

  async shareRelease(app: string, release: string): Promise<void> {
    const { layout, user } = await this.#app(app);
    const access = await this.#access(user);
    if (access === undefined) await makeReadOnly(layout.release(releaseId.parse(release)));
    else await openRelease(layout, releaseId.parse(release), access);
  }

  /** Whether a release was opened to its app, and the app's user cannot change it. */
  async isShared(app: string, release: string): Promise<boolean> {
    const { layout, user } = await this.#app(app);
    const access = await this.#access(user);
    return access === undefined || isOpened(layout, releaseId.parse(release), access);
  }

  /** undefined if everything belongs to the user of this process. */
  async #access({ other }: AppUser): Promise<ReleaseAccess | undefined> {
    if (other === undefined) return undefined;
    const nginx = (await groupId(this.#options.settings.nginx.group)) ?? other.gid;
    return { owner: this.#options.agent?.uid ?? 0, app: other.gid, nginx };
  }

  async startPrograms(spec: RunSpec): Promise<void> {
    await this.#programs.start(await this.#ownApp(spec.app), spec);
  }

  programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return this.#programs.programs(app, run);
  }

  revivePrograms(app: string, run: string, stopped: boolean): Promise<ProgramStatus[] | undefined> {
    return this.#programs.revive(app, run, stopped);
  }

  async fullShare(app: string, run: string): Promise<void> {
    await this.#programs.fullShare(await this.#app(app), run);
  }

  async startProcess(spec: RunSpec, name: string): Promise<void> {
    await this.#programs.startProcess(await this.#ownApp(spec.app), spec, name);
  }

  processes(app: string): Promise<ProcessGroup[]> {
    return this.#programs.processes(app);
  }

  stopProcess(app: string, run: string, name: string): Promise<void> {
    return this.#programs.stopProcess(app, run, name);
  }

  removeProcess(app: string, run: string, name: string): Promise<void> {
    return this.#programs.removeProcess(app, run, name);
  }

  removePrograms(app: string, run: string): Promise<void> {
    return this.#programs.remove(app, run);
  }

  runs(app: string): Promise<string[]> {
    return this.#programs.runs(app);
  }

  /** All ports of the app's runs. */
  ports(app: string): Promise<number[]> {
    return this.#programs.ports(app);
  }

  async checkSite(app: string, config: Config): Promise<void> {
    const settings = await this.#options.apps.settings(app);
    await this.#sites.check(config, settings);
    this.#sites.checkUrls(config, settings);
    await this.#sites.checkDomains(config, settings);
    await this.#sites.checkFree(config, settings);
  }

  async writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }> {
    await this.#directories.ensureRequests();
    return this.#sites.write(await this.#options.apps.settings(app), site);
  }

  async rotateRequests(app: string): Promise<void> {
    await this.#sites.rotateRequests(appName.parse(app));
  }

  async upstreamServers(app: string): Promise<UpstreamServers> {
    return this.#sites.servers(appName.parse(app));
  }

  async certificateRequest(app: string, names: string[]): Promise<string> {
    permitNames(await this.#autoApp(app), names);
    return this.#certificates.request(app, names);
  }

  async installCertificate(app: string, chain: string): Promise<void> {
    await this.#certificates.install((await this.#autoApp(app)).app, chain);
  }

  async certificate(app: string): Promise<string | undefined> {
    return this.#certificates.chain(appName.parse(app));
  }

  oldWorkers(): Promise<boolean> {
    return this.#sites.oldWorkers();
  }

  async removeApp(app: string, data = false): Promise<void> {
    // The site goes before its instances. If supervisord cannot stop them, the site must not go either.
    for (const run of await this.runs(appName.parse(app))) await this.programs(app, run);
    await this.#sites.remove(appName.parse(app));
    for (const run of await this.runs(app)) await this.removePrograms(app, run);
    await this.#directories.remove(this.#layout(app), data);
  }

  /** @throws CutoverError host_settings_invalid if the app's file has its own certificate, or none */
  async #autoApp(app: string): Promise<AppSettings> {
    const settings = await this.#options.apps.settings(app);
    if (settings.tls === "auto") return settings;
    throw new CutoverError("host_settings_invalid", `${settings.file} does not say \`tls: auto\`.`, {
      unchanged: "Nothing was changed.",
      fix: `Write \`tls: auto\` into ${settings.file} if the agent is to get the certificate.`,
    });
  }

  async #app(app: string): Promise<HostApp> {
    const settings = await this.#options.apps.settings(app);
    const user = await appUser(settings, this.#options.ownUser ?? false);
    assertNotAgent(settings, user, this.#options.agent);
    return { settings, layout: this.#layout(app), user };
  }

  /** For what the app's user gets secrets for. What only stops or reads goes on also where a group is shared. */
  async #ownApp(app: string): Promise<HostApp> {
    const found = await this.#app(app);
    await assertOwnGroup(found.settings, found.user);
    return found;
  }

  /** Names become paths here, so this side of the border checks them itself. @throws ZodError */
  #layout(app: string): AppLayout {
    return appLayout(this.#options.settings.data, appName.parse(app));
  }
}
