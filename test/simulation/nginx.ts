import { serversOf } from "../../agent/host/nginx/upstream-config.ts";
import type { Chances } from "./random.ts";
import { namesIn } from "./site-text.ts";
import type { Timeline } from "./timeline.ts";

/** Two files of an app in nginx's directory, and beside each what nginx had of it while a write is not finished. */
export interface NginxFile {
  present?: string | undefined;
  /** Without it nothing is kept; "" is kept for a file that was not there. */
  kept?: string | undefined;
  /** Nobody knows whether nginx has read it. */
  unread?: boolean;
}

export interface AppFiles {
  site: NginxFile;
  upstream: NginxFile;
}

export interface Upstreams {
  main: string[];
  preview: string[];
}

/** A worker process, which goes on with the configuration that it was started with. */
export interface Worker {
  pid: number;
  upstreams: ReadonlyMap<string, Upstreams>;
  /** The app that has each name. Of two with one name it is the first that was read. */
  names: ReadonlyMap<string, string>;
  /** It still accepts connections. */
  serving: boolean;
  /** When its last connection ends. */
  busyUntil: number;
}

/** A marker in a site's text that makes nginx refuse it. */
export const refusedMark = "REFUSED";

interface Parts {
  timeline: Timeline;
  chances: Chances;
  newPid(): number;
  trace(line: string): void;
  /** Visitors go elsewhere from now on. Told for which apps the agent has asked for it. */
  onMoved(askedFor: ReadonlySet<string>): void;
}

/** nginx: a master that reads its files when it is told, and workers of several generations. */
export class NginxDaemon {
  /** By app. */
  readonly files = new Map<string, AppFiles>();
  /** The file of a site that is not cutover's and that nginx refuses. */
  foreignBroken = false;
  master = 0;
  pidFile = 0;
  workers: Worker[] = [];
  /** What the master complains of in its log, since its beginning. */
  log: string[] = [];
  #asked = false;
  #askedFor = new Set<string>();
  #busy = false;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get up(): boolean {
    return this.master !== 0;
  }

  appFiles(app: string): AppFiles {
    let files = this.files.get(app);
    if (files === undefined) {
      files = { site: {}, upstream: {} };
      this.files.set(app, files);
    }
    return files;
  }

  /** `nginx -t`. @returns what it does not like */
  test(): string | undefined {
    if (this.foreignBroken) return "[emerg] unknown directive in /etc/nginx/conf.d/foreign.conf:1";
    for (const [app, { site }] of this.files) {
      if (site.present?.includes(refusedMark))
        return `[emerg] invalid value in /etc/nginx/conf.d/cutover-${app}.conf:1`;
    }
    return undefined;
  }

  /** It starts only with files that it likes, and is started again until it does. */
  boot(): void {
    if (this.up) return;
    if (this.test() !== undefined) return void this.#parts.timeline.after(2000, () => this.boot());
    this.master = this.#parts.newPid();
    this.pidFile = this.master;
    this.#busy = false;
    this.workers = this.#newWorkers();
    this.#parts.onMoved(new Set());
  }

  /** @param staysInFile its pid file is still there */
  crash(staysInFile: boolean): void {
    this.master = 0;
    if (!staysInFile) this.pidFile = 0;
    // Whoever was in the middle of an upload to one of them is not sent on by it.
    for (const worker of this.workers) worker.serving = false;
    this.workers = [];
    this.#asked = false;
    this.#askedFor = new Set();
    this.#busy = false;
  }

  /** SIGHUP. A flag in the master, so several at once are one. @param app for which the agent asks; none for others */
  reload(app?: string): void {
    if (!this.up) return;
    this.#asked = true;
    if (app !== undefined) this.#askedFor.add(app);
    if (!this.#busy) this.#reconfigure();
  }

  /** It has handled every signal that it got. */
  get idle(): boolean {
    return !this.#busy && !this.#asked;
  }

  /** Where a visitor may be sent at this moment; undefined if nobody listens. */
  accepting(random: number): Worker | undefined {
    const serving = this.workers.filter((worker) => worker.serving);
    return serving[random % Math.max(serving.length, 1)];
  }

  /** Workers that have nothing more to do end. */
  living(): Worker[] {
    const now = this.#parts.timeline.elapsed;
    if (this.workers.some((worker) => !worker.serving && worker.busyUntil <= now)) {
      this.workers = this.workers.filter((worker) => worker.serving || worker.busyUntil > now);
    }
    return this.workers;
  }

  #reconfigure(): void {
    const { timeline, chances } = this.#parts;
    const random = chances.of("nginx");
    const { master } = this;
    const alive = () => this.master === master;
    const askedFor = this.#askedFor;
    this.#asked = false;
    this.#askedFor = new Set();
    this.#busy = true;
    const done = () => {
      this.#busy = false;
      if (this.#asked) this.#reconfigure();
    };
    const readMs = 1 + random.int(30);
    timeline.after(readMs, () => {
      if (!alive()) return;
      const complaint = this.test();
      if (complaint !== undefined) {
        this.log.push(complaint);
        return done();
      }
      const old = this.workers.filter((worker) => worker.serving);
      const fresh = this.#newWorkers();
      timeline.after(5 + random.int(60), () => {
        if (!alive()) return;
        this.workers = [...this.living(), ...fresh];
        this.#parts.trace("  nginx has new workers");
        // The master gives the new ones 100 ms before it tells the old ones to go.
        timeline.after(100, () => {
          if (!alive()) return;
          for (const worker of old) worker.serving = false;
          this.#parts.onMoved(askedFor);
          done();
        });
      });
    });
  }

  #newWorkers(): Worker[] {
    const upstreams = new Map<string, Upstreams>();
    const names = new Map<string, string>();
    // An include with a pattern is read in the order of the names.
    for (const [app, { upstream, site }] of [...this.files].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const text = upstream.present;
      if (text === undefined || site.present === undefined) continue;
      upstreams.set(app, parsed(text, app));
      for (const name of namesIn(site.present)) if (!names.has(name)) names.set(name, app);
    }
    return [0, 1].map(() => ({ pid: this.#parts.newPid(), upstreams, names, serving: true, busyUntil: 0 }));
  }
}

/** What nginx has of a file. */
export function loaded({ present, kept }: NginxFile): string | undefined {
  return kept === undefined ? present : kept === "" ? undefined : kept;
}

/** A write was interrupted after its new text was there, or nobody knows how the last reload ended. */
export function isUnread(file: NginxFile): boolean {
  return file.unread === true || loaded(file) !== file.present;
}

const parsedTexts = new Map<string, Upstreams>();

/** The servers in a text of renderUpstreams. */
export function parsed(text: string, app: string): Upstreams {
  const key = `${app} ${text}`;
  let upstreams = parsedTexts.get(key);
  if (upstreams === undefined) {
    upstreams = { main: serversOf(text, app), preview: serversOf(text, `${app}.preview`) };
    if (parsedTexts.size > 500) parsedTexts.clear();
    parsedTexts.set(key, upstreams);
  }
  return upstreams;
}
