import type { SlotLink } from "../../agent/host/nginx/slots.ts";
import { quietMs } from "../../agent/host/supervisor/share.ts";
import type { AppSettings } from "../../agent/settings.ts";
import { appSettingsSchema } from "../../agent/settings.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { Behaviour } from "./bundle.ts";
import { AppDisk } from "./disk.ts";
import { Faults } from "./effects.ts";
import type { Instance } from "./instance.ts";
import { NginxDaemon, parsed, type Worker } from "./nginx.ts";
import { Chances } from "./random.ts";
import { type ProgramsFile, Supervisord } from "./supervisord.ts";
import { Timeline } from "./timeline.ts";
import { Watcher } from "./watcher.ts";

export const appNames = ["shop", "blog"] as const;
export type AppName = (typeof appNames)[number];

/** A machine in memory: time, disk, supervisord, nginx, instances, and what goes wrong with them. */
export class Host {
  readonly timeline: Timeline;
  readonly chances: Chances;
  readonly faults: Faults;
  readonly supervisord: Supervisord;
  readonly nginx: NginxDaemon;
  readonly watcher: Watcher;
  readonly apps = new Map<string, AppDisk>(appNames.map((app) => [app, new AppDisk(app)]));
  /** What the owner has written about each app; an app without it is not there. */
  readonly settings = new Map<string, AppSettings>();
  /** Processes that have a pid which was nginx's. */
  readonly strangers = new Set<number>();
  trace: string[] | undefined;
  /** How much a release command prints. */
  outputLines = 1;
  #pid = 100;

  constructor(seed: number, trace?: string[]) {
    this.trace = trace;
    this.chances = new Chances(seed);
    this.timeline = new Timeline(this.chances.of("timeline"));
    this.faults = new Faults(this.timeline);
    const parts = {
      timeline: this.timeline,
      chances: this.chances,
      newPid: () => ++this.#pid,
      trace: (line: string) => this.note(line),
    };
    const asked = {
      behaviourOf: (file: ProgramsFile) => this.#behaviourOf(file),
      isNew: (file: ProgramsFile) => this.#isNew(file),
    };
    // A supervisord that is restarted starts also what the agent was stopping.
    const onSpawn = (address: string) => void this.watcher.stopped.delete(address);
    this.supervisord = new Supervisord({ ...parts, ...asked, onSpawn });
    this.watcher = new Watcher(this);
    this.nginx = new NginxDaemon({ ...parts, onMoved: (askedFor) => this.watcher.reloaded(askedFor) });
    this.nginx.boot();
    for (const app of appNames) this.allow(app);
  }

  #behaviourOf({ app, run, behaviour }: ProgramsFile): Behaviour {
    const release = releaseOfRun(run);
    const disk = this.disk(app);
    const whole = disk.releases.get(release)?.whole === true && disk.environments.has(release);
    return whole ? behaviour : { ...behaviour, fault: "exits" };
  }

  /** By agent/launch.ts. */
  #isNew({ app, run }: ProgramsFile): boolean {
    const age = this.timeline.wall - (this.disk(app).launchedAt.get(run) ?? Number.NEGATIVE_INFINITY);
    return age >= -quietMs && age < quietMs;
  }

  note(line: string): void {
    this.trace?.push(`${String(this.timeline.elapsed).padStart(8)} ${line}`);
  }

  disk(app: string): AppDisk {
    const disk = this.apps.get(app);
    if (disk === undefined) throw new Error(`the simulated host has no app ${app}`);
    return disk;
  }

  allow(app: string, more: object = {}): void {
    const ports = app === "shop" ? "9000-9199" : "9200-9399";
    const settings = appSettingsSchema.parse({ domains: [`${app}.example.com`], ports, ...more });
    this.settings.set(app, { ...settings, app, file: `/etc/cutover/apps/${app}.yml` });
  }

  /** Something lasting is wrong that the agent cannot mend. */
  get hindered(): boolean {
    const { nginx, supervisord } = this;
    return !nginx.up || !supervisord.up || nginx.foreignBroken || supervisord.brokenFile;
  }

  /** Where the slots of an app's main upstream lead for a worker that reads the files now. */
  addressesOnDisk(app: string): string[] {
    const { site, upstream } = this.nginx.appFiles(app);
    if (site.present === undefined || upstream.present === undefined) return [];
    return this.resolve(app, parsed(upstream.present, app).main);
  }

  /** Who listens at an address as nginx names it: `unix:` and a path, or an address and a port. */
  listener(address: string): Instance | undefined {
    for (const programs of this.supervisord.groups.values()) {
      for (const { instance } of programs) if (instance?.parts.address === address) return instance;
    }
    return undefined;
  }

  /** Where the slots of an app's main upstream lead for a worker. */
  addressesOf(app: string, worker: Worker | undefined): string[] {
    return this.resolve(app, worker?.upstreams.get(app)?.main ?? []);
  }

  /** The servers of an upstream are links to sockets, or ports. */
  resolve(app: string, servers: string[]): string[] {
    const link = linkOf(servers.find((server) => server.startsWith("unix:")));
    if (link === undefined) return servers;
    const sockets = this.disk(app).sockets(link);
    // By its name, not by its place: ports that are the same stand in one line, with a weight.
    return servers.map((server) =>
      server.startsWith("unix:") ? `unix:${sockets[Number(server.slice(-2))] ?? "nowhere"}` : server,
    );
  }

  resolveOne(app: string, server: string): string {
    const link = linkOf(server);
    return link === undefined ? server : `unix:${this.disk(app).sockets(link)[Number(server.slice(-2))] ?? "nowhere"}`;
  }

  /** The machine loses its power and comes back. The agent must be dead. */
  powerCut(downMs: number): void {
    const random = this.chances.of("power");
    for (const disk of this.apps.values()) {
      disk.powerCut(random.chance(0.5));
      this.watcher.powerCut(disk.app);
      this.watcher.reread(disk.app, disk.state);
    }
    this.supervisord.crash();
    this.nginx.crash(true);
    this.faults.struck();
    this.timeline.after(downMs, () => {
      this.supervisord.boot();
      this.nginx.boot();
    });
  }
}

const links = ["slots", "slots-uwsgi", "preview", "preview-uwsgi"] as const;

function linkOf(server: string | undefined): SlotLink | undefined {
  return links.find((link) => server?.includes(`/${link}/`));
}
