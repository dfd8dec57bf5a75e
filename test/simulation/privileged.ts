import type {
  CommandRequest,
  Instance,
  Privileged,
  ProcessGroup,
  ProgramStatus,
  RunSpec,
  SitePart,
  SiteRequest,
  UpstreamServers,
} from "../../agent/contracts/privileged.ts";
import type { CommandEnvironment } from "../../agent/contracts/service.ts";
import { withLess } from "../../agent/host/nginx/way-back.ts";
import { instanceNames } from "../../agent/host/supervisor/instances.ts";
import { groupName, processPrograms, processStop } from "../../agent/host/supervisor/programs-file.ts";
import { permittedPorts, permittedSite, servedSite } from "../../agent/host-policy.ts";
import type { AppSettings } from "../../agent/settings.ts";
import type { Config } from "../../shared/config.ts";
import { protocolOf } from "../../shared/config-server.ts";
import { CutoverError } from "../../shared/errors.ts";
import { type AppDisk, socketOf } from "./disk.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import { isUnread, loaded, parsed, refusedMark } from "./nginx.ts";
import { NginxWriter } from "./nginx-writer.ts";
import { ProgramCalls } from "./program-calls.ts";
import { namesIn, rendered, siteText, upstreamOf } from "./site-text.ts";
import type { Program } from "./supervisord.ts";

const webStopMs = 10_000;

/** What only root may do, on the simulated host: effect by effect as agent/host does it. */
export class SimPrivileged implements Privileged {
  readonly #host: Host;
  readonly #effects: Effects;
  readonly #nginx: NginxWriter;
  readonly #calls: ProgramCalls;
  #choosing: Promise<unknown> = Promise.resolve();

  constructor(host: Host, effects: Effects) {
    this.#host = host;
    this.#effects = effects;
    this.#nginx = new NginxWriter(host, effects);
    this.#calls = new ProgramCalls(host, effects);
  }

  async prepareApp(app: string): Promise<void> {
    const disk = this.#host.disk(app);
    if (!disk.home)
      await this.#effects.do("app.prepare", app, () => {
        disk.home = true;
      });
  }

  async instances({ app, run, config }: RunSpec): Promise<Instance[]> {
    const ports = config.server.bind === "port" ? this.#host.disk(app).ports.get(run) : [];
    if (ports === undefined) return [];
    const protocol = protocolOf(config.server);
    return instanceNames(config).map((name, index) => {
      const port = ports[index];
      const address = port === undefined ? `unix:${socketOf(app, run, name)}` : `127.0.0.1:${port}`;
      return { name, address, protocol };
    });
  }

  async runCommand({ app, release }: RunSpec, command: CommandRequest): Promise<number> {
    const { fault } = this.#release(app, release).manifest.behaviour;
    return new Promise<number>((resolve, reject) => {
      const stop = () => reject(command.signal.reason);
      if (command.signal.aborted) return stop();
      const forget = this.#effects.onAbort(command.signal, stop);
      const work = () => {
        for (let line = 0; line < this.#host.outputLines; line++) command.onOutput(command.source, `migrating ${line}`);
        return fault === "command" ? 1 : 0;
      };
      const run = this.#effects.wait(this.#host.chances.of("release").int(1500));
      run
        .then(() => this.#effects.do("release.command", app, work))
        .finally(forget)
        .then(resolve, reject);
    });
  }

  async maskSecrets(_app: string, texts: string[]): Promise<string[]> {
    return texts;
  }

  async listening(spec: RunSpec): Promise<string[]> {
    return (await this.instances(spec)).map(({ address }) => address);
  }

  async strayListeners(): Promise<string[]> {
    return [];
  }

  async commandEnvironment({ release }: RunSpec): Promise<CommandEnvironment> {
    return { release, directory: "/", env: {} };
  }

  async shareRelease(app: string): Promise<void> {
    await this.#effects.do("release.share", app, () => {});
  }

  async startPrograms(spec: RunSpec): Promise<void> {
    const { app, run, config } = spec;
    const disk = this.#host.disk(app);
    const group = groupName(app, run);
    const known = await this.#effects.ask("ask.programs", app, () => this.#host.supervisord.info(group));
    if (config.server.bind === "port" && known === undefined) await this.#freePorts(app, run, config);
    else if (config.server.bind === "port") await this.#portsOf(app, run, config);
    const instances = await this.instances(spec);
    await this.#prepareRun(disk, run);
    disk.launchedAt.set(run, this.#host.timeline.wall);
    const { behaviour } = this.#release(app, spec.release).manifest;
    const addresses = instances.map(({ address }) => address);
    const names = instances.map(({ name }) => name);
    const file = { app, run, process: undefined, names, addresses, stopMs: webStopMs, behaviour };
    await this.#calls.add(group, file);
  }

  async programs(app: string, run: string): Promise<ProgramStatus[] | undefined> {
    return this.#effects.ask("ask.programs", app, () =>
      this.#host.supervisord.info(groupName(app, run))?.map(toStatus),
    );
  }

  /** By agent/host/supervisor/revive.ts. */
  async revivePrograms(app: string, run: string, stopped: boolean): Promise<ProgramStatus[] | undefined> {
    const before = await this.programs(app, run);
    if (before === undefined) return undefined;
    await this.#effects.do("programs.start", app, () => this.#host.supervisord.revive(groupName(app, run), stopped));
    return before;
  }

  /** By agent/host/supervisor/app-programs.ts: those that had less when it asked. */
  async fullShare(app: string, run: string): Promise<void> {
    const programs = await this.#effects.ask(
      "ask.programs",
      app,
      () => this.#host.supervisord.info(groupName(app, run)) ?? [],
    );
    const low = programs.flatMap(({ instance }) => (instance?.share === "low" ? [instance] : []));
    if (low.length === 0) return;
    await this.#effects.do("programs.share", app, () => {
      for (const instance of low) instance.share = "full";
    });
  }

  async startProcess(spec: RunSpec, name: string): Promise<void> {
    const { app, run, config } = spec;
    const entry = config.processes[name];
    if (entry === undefined) throw new CutoverError("internal", `no process ${name}`);
    const disk = this.#host.disk(app);
    await this.#prepareRun(disk, run);
    await this.#effects.do("launch.write", app, () => {
      const launches = disk.launches.get(run) ?? new Set();
      disk.launches.set(run, launches.add(name));
    });
    const { behaviour } = this.#release(app, spec.release).manifest;
    const names = processPrograms(name, entry);
    const stopMs = processStop(entry).seconds * 1000;
    await this.#calls.add(groupName(app, run, name), {
      app,
      run,
      process: name,
      names,
      addresses: [],
      stopMs,
      behaviour,
    });
  }

  async processes(app: string): Promise<ProcessGroup[]> {
    const owners = this.#calls.owners(app);
    if (owners.length === 0) return this.#effects.look(() => []);
    return this.#effects.ask("ask.processes", app, () =>
      owners.map(({ run, process }) => {
        const group = groupName(app, run, process);
        const programs = this.#host.supervisord.info(group) ?? [];
        const status = programs.map((program) => ({ ...toStatus(program), signalled: program.signalled }));
        return { run, process, programs: status, stopMs: this.#host.supervisord.files.get(group)?.stopMs ?? webStopMs };
      }),
    );
  }

  async stopProcess(app: string, run: string, process: string): Promise<void> {
    const group = groupName(app, run, process);
    await this.#effects.do("programs.stop", app, () => this.#host.supervisord.stopProcessGroup(group));
  }

  async removeProcess(app: string, run: string, process: string): Promise<void> {
    await this.#calls.drop(app, run, process);
    await this.#effects.do("process.unlink", app, () => {
      this.#host.disk(app).launches.get(run)?.delete(process);
    });
  }

  async removePrograms(app: string, run: string): Promise<void> {
    const disk = this.#host.disk(app);
    for (const owner of this.#calls.owners(app))
      if (owner.run === run) await this.removeProcess(app, run, owner.process);
    await this.#calls.drop(app, run, undefined);
    if (disk.ports.size > 0) await this.#effects.do("ports.release", app, () => disk.ports.delete(run));
    await this.#effects.do("run.remove", app, () => {
      disk.launches.delete(run);
      disk.launchedAt.delete(run);
      disk.runs.delete(run);
    });
  }

  async runs(app: string): Promise<string[]> {
    return this.#effects.ask("ask.programs", app, () => {
      const disk = this.#host.disk(app);
      const files = [...this.#host.supervisord.files.values()].filter((file) => file.app === app);
      return [
        ...new Set([...files.map(({ run }) => run), ...disk.runs, ...disk.launches.keys(), ...disk.ports.keys()]),
      ].sort();
    });
  }

  async checkSite(app: string, config: Config): Promise<void> {
    const { nginx } = this.#host;
    await this.#effects.ask("ask.site", app, () => {
      permittedSite(config, this.#settings(app));
      this.#assertDomainsFree(config, this.#settings(app), permittedSite);
      if (!nginx.up) throw new CutoverError("nginx_unreachable", "nginx is not running.");
    });
    // An address that nginx has already, and that this app's own file does not name: all of the configuration is read.
    if (config.site === "none" || nginx.appFiles(app).site.present !== undefined) return;
    const complaint = await this.#nginx.test(app);
    if (complaint !== undefined) throw new CutoverError("nginx_config_broken", `nginx refuses: ${complaint}`);
  }

  /** By agent/host/nginx/domains.ts, which reads them in the sites' texts. */
  #assertDomainsFree(config: Config, settings: AppSettings, siteFor: typeof servedSite): void {
    if (config.site === "none") return;
    const { app } = settings;
    const own = this.#domainsIn(app);
    const site = siteFor(config, settings);
    const wanted = site.serverNames.filter((name) => !own.includes(name));
    for (const other of this.#host.nginx.files.keys()) {
      const taken = other === app ? undefined : this.#domainsIn(other).find((name) => wanted.includes(name));
      if (taken !== undefined) throw new CutoverError("domain_taken", `${other} has the domain ${taken} already.`);
    }
  }

  #domainsIn(app: string): string[] {
    return namesIn(this.#host.nginx.appFiles(app).site.present);
  }

  // No app of the simulation has `tls: auto`.
  async certificateRequest(): Promise<string> {
    return "";
  }

  async installCertificate(): Promise<void> {}

  async certificate(): Promise<undefined> {}

  /** By agent/host/nginx/site.ts: a way back does without what the host forbids by now. */
  async writeSite(app: string, { keepNames, ...request }: SiteRequest): Promise<{ changed: boolean }> {
    const settings = this.#settings(app);
    if (keepNames !== true) return this.#writeSite(settings, request);
    return withLess(
      { settings, request },
      {
        write: (wish) => this.#writeSite(wish.settings, wish.request),
        present: async () => {
          // A release without a site has no file there.
          const domains = this.#domainsIn(app);
          return domains.length === 0 ? undefined : { domains, tls: undefined };
        },
      },
    );
  }

  async #writeSite(settings: AppSettings, { main, preview }: SiteRequest): Promise<{ changed: boolean }> {
    const { app } = settings;
    const upstreams = [
      ...(main === null ? [] : [upstreamOf(app, "main", main)]),
      ...(preview === null ? [] : [upstreamOf(app, "preview", preview)]),
    ];
    const refused = main !== null && this.#refuses(app, main) ? refusedMark : "";
    const text = (part: SitePart | null) => siteText(part, settings);
    const site = main === null && preview === null ? undefined : `${text(main)} | ${text(preview)} ${refused}`;
    const upstream = upstreams.length === 0 ? undefined : rendered(upstreams);
    const permit =
      site !== undefined && site === this.#host.nginx.appFiles(app).site.present ? servedSite : permittedSite;
    for (const part of [main, preview]) if (part !== null) permit(part.config, settings);
    return this.#nginx.write(app, { site, upstream }, () => {
      if (main !== null) this.#assertDomainsFree(main.config, settings, servedSite);
    });
  }

  async upstreamServers(app: string): Promise<UpstreamServers> {
    const { nginx } = this.#host;
    return this.#effects.ask("ask.site", app, () => {
      const { upstream } = nginx.appFiles(app);
      const serversIn = (text: string | undefined) =>
        text === undefined ? { main: [], preview: [] } : parsed(text, app);
      const unread = isUnread(upstream);
      const { main, preview } = serversIn(loaded(upstream));
      return { ...serversIn(upstream.present), unread, ...(unread && { before: [...main, ...preview] }) };
    });
  }

  /** No request of the simulation is counted. */
  async rotateRequests(): Promise<void> {}

  async oldWorkers(app = ""): Promise<boolean> {
    const { nginx } = this.#host;
    return this.#effects.ask("ask.workers", app, () => nginx.living().some(({ serving }) => !serving));
  }

  async removeApp(app: string): Promise<void> {
    for (const run of await this.runs(app)) await this.programs(app, run);
    await this.#nginx.remove(app);
    for (const run of await this.runs(app)) await this.removePrograms(app, run);
    await this.#effects.do("app.remove", app, () => this.#host.disk(app).remove());
  }

  #settings(app: string) {
    const settings = this.#host.settings.get(app);
    if (settings === undefined) throw new CutoverError("app_not_found", `The host has no app ${app}.`);
    return settings;
  }

  #release(app: string, release: string) {
    const stored = this.#host.disk(app).releases.get(release);
    if (stored === undefined) throw new CutoverError("release_not_found", `The host has no release ${release}.`);
    return stored;
  }

  #refuses(app: string, { config }: SitePart): boolean {
    for (const { manifest } of this.#host.disk(app).releases.values()) {
      if (manifest.config === config && manifest.behaviour.fault === "nginx") return true;
    }
    return false;
  }

  async #prepareRun(disk: AppDisk, run: string): Promise<void> {
    await this.#effects.do("run.prepare", disk.app, () => {
      disk.runs.add(run);
      disk.logs.add(run);
    });
  }

  /** By agent/host/net/run-ports.ts: one choice at a time, behind what the app has now. */
  #portsOf(app: string, run: string, config: Config): Promise<number[]> {
    return this.#inTurn(async () => this.#host.disk(app).ports.get(run) ?? (await this.#choose(app, run, config)));
  }

  #freePorts(app: string, run: string, config: Config): Promise<number[]> {
    return this.#inTurn(async () => {
      const chosen = this.#host.disk(app).ports.get(run);
      const free = chosen?.every((port) => this.#host.listener(`127.0.0.1:${port}`) === undefined);
      return chosen !== undefined && free ? chosen : this.#choose(app, run, config);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#choosing.then(work);
    this.#choosing = turn.catch(() => undefined);
    return turn;
  }

  async #choose(app: string, run: string, config: Config): Promise<number[]> {
    const range = permittedPorts(config, this.#settings(app));
    const disk = this.#host.disk(app);
    const taken = new Set([...disk.ports.values()].flat());
    const last = range.findLastIndex((port) => taken.has(port));
    const order = [...range.slice(last + 1), ...range.slice(0, last + 1)];
    const free = order.filter((port) => !taken.has(port) && this.#host.listener(`127.0.0.1:${port}`) === undefined);
    const found = free.slice(0, config.server.instances);
    if (found.length < config.server.instances)
      throw new CutoverError("ports_exhausted", `${app} has too few free ports`);
    await this.#effects.do("ports.reserve", app, () => disk.ports.set(run, found));
    return found;
  }
}

function toStatus({ name, state, instance, detail }: Program): ProgramStatus {
  const up = state === "RUNNING" || state === "STARTING" || state === "STOPPING";
  return { name, state, pid: instance?.parts.pid ?? 0, uptime: up ? 1000 : 0, detail: up ? "" : detail };
}
