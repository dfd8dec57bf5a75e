import { mkdir, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../../shared/plain-json.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { Clock } from "../../contracts/ports.ts";
import type { CountedRequests, Counts, LatestRequests, RequestRole, Requests } from "../../contracts/requests.ts";
import { effect } from "../../effects.ts";
import type { RequestPlaces } from "../nginx/names.ts";
import { requestFile } from "../nginx/request-log.ts";
import { rotatedSize } from "../nginx/request-rotation.ts";
import { readSafelyIfExists } from "../store/safe-read.ts";
import { AppRequests } from "./app-requests.ts";
import { Periods } from "./periods.ts";
import type { Leading } from "./run-history.ts";

export interface RequestCountsOptions {
  places: RequestPlaces & { counts: string };
  clock: Clock;
  /** The apps of this host. */
  apps(): Promise<string[]>;
  /** Makes nginx begin another file, if it is time. */
  rotate(app: string): Promise<void>;
  onTrouble(err: unknown, message: string): void;
}

/** In milliseconds. A kill of the agent costs at most the reading of what came since the last save. */
const [readEveryMs, saveEveryMs, lookEveryMs] = [1000, 5000, 10_000];

/** In milliseconds: the first and the longest pause before nginx is asked again for another file. */
const [retryMs, longestRetryMs] = [5000, 3600_000];

/** In bytes: how much is read in a second, of one app and of all. More than ten thousand lines of each. */
const [mostOfApp, mostOfAll] = [2 * 1024 ** 2, 4 * 1024 ** 2];

/** In bytes. A file that nobody can rotate ends the lines of all apps. */
const largestFile = 64 * 1024 ** 2;

/** In bytes. With less, nginx may not have written whole lines. */
const leastSpace = 1024 ** 2;

const largestSaved = 16 * 1024 ** 2;

/** How far the clock may go away from the time that has passed, in milliseconds. */
const clockToleranceMs = 2000;

/** Follows nginx's lines of all apps, and counts. It never throws: it is beside the deployments, not part of them. */
export class RequestCounts implements Requests {
  readonly #options: RequestCountsOptions;
  readonly #periods: Periods;
  readonly #apps = new Map<string, AppRequests>();
  /** One piece of work at a time. */
  readonly #queue = new SerialQueue();
  /** When nginx may be asked again for another file of an app, and the pause after that. */
  readonly #retries = new Map<string, { after: number; pause: number }>();
  #stop: (() => void) | undefined;
  #clockAt: { now: number; elapsed: number } | undefined;
  #next = { save: 0, look: 0 };
  #ended = false;

  constructor(options: RequestCountsOptions) {
    this.#options = options;
    this.#periods = new Periods(options.places.periods);
  }

  /** From here on nginx may write lines, and they are read. Only one agent of a host may call it. */
  async start(): Promise<void> {
    await this.#queue.run(() => this.#begin()).catch((err: unknown) => this.#trouble(err));
    await this.#tick();
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#stop?.();
    this.#ended = true;
    await this.#queue.run(async () => {
      for (const app of this.#apps.values()) {
        await this.#readApp(app, mostOfApp);
        await this.#save(app);
        await app.files.close();
      }
    });
  }

  async read(app: string): Promise<void> {
    if (this.#ended) return;
    await this.#queue
      .run(async () => {
        this.#checkClock();
        await this.#readApp(await this.#of(app), mostOfApp);
      })
      .catch((err: unknown) => this.#trouble(err, app));
  }

  counted(app: string, { from, to }: { from: number; to?: number }): CountedRequests {
    const now = this.#options.clock.now();
    const window = { from, to: to ?? now + 1 };
    return this.#apps.get(app)?.counted(window, now) ?? { ...window, readUntil: 0, absent: true, runs: [] };
  }

  totals(app: string): Partial<Record<RequestRole, Counts>> {
    const totals = Object.entries(this.#apps.get(app)?.totals ?? {});
    return Object.fromEntries(totals.map(([role, tally]) => [role, tally.counts]));
  }

  latest(app: string): Partial<Record<RequestRole, LatestRequests>> {
    return this.#apps.get(app)?.latest ?? {};
  }

  /** The traffic is about to go there. It is on disk before it goes. */
  async moving(app: string, leading: Leading): Promise<void> {
    if (this.#ended) return;
    await this.#queue.run(async () => {
      const counted = await this.#of(app);
      if (!counted.history.begin(leading, this.#options.clock.now())) return;
      await effect("requests.save", () => this.#write(counted)).catch((err) => this.#trouble(err, app));
    });
  }

  /** @param always nothing had to be moved */
  async moved(app: string, how: { always: boolean }): Promise<void> {
    if (this.#ended) return;
    await this.#queue.run(async () => {
      const counted = await this.#of(app);
      counted.history.end(this.#options.clock.now(), how);
      counted.changed = true;
    });
  }

  async #begin(): Promise<void> {
    const now = this.#options.clock.now();
    const allowed = await this.#periods.allowedUntil();
    await this.#look(now);
    if (allowed !== undefined && allowed >= now) return;
    await this.#periods.allow(now);
    const gap = { from: allowed ?? 0, to: this.#options.clock.now(), why: "no agent was there to read the lines" };
    for (const app of this.#apps.values()) app.gaps.add(gap);
  }

  #schedule(): void {
    this.#stop = this.#options.clock.after(readEveryMs, () => {
      void this.#tick().finally(() => (this.#ended ? undefined : this.#schedule()));
    });
  }

  async #tick(): Promise<void> {
    await this.#queue.run(() => this.#work()).catch((err: unknown) => this.#trouble(err));
  }

  async #work(): Promise<void> {
    const { clock, places } = this.#options;
    const [now, elapsed] = [clock.now(), clock.elapsed()];
    this.#checkClock();
    if (elapsed >= this.#next.look) await this.#look(now);
    let left = mostOfAll;
    for (const app of this.#apps.values()) left -= await this.#readApp(app, Math.min(left, mostOfApp));
    const tooLarge = [...this.#apps.values()].some(({ files }) => files.size > largestFile);
    if (tooLarge) await this.#periods.end();
    else await this.#periods.allow(now);
    const { bavail, bsize } = await statfs(places.counts);
    if (bavail * bsize < leastSpace) this.#everyGap(now, "the disk was full");
    if (elapsed < this.#next.save) return;
    this.#next.save = elapsed + saveEveryMs;
    for (const app of this.#apps.values()) await this.#save(app);
  }

  #checkClock(): void {
    const { clock } = this.#options;
    const [now, elapsed] = [clock.now(), clock.elapsed()];
    const { now: then, elapsed: at } = this.#clockAt ?? { now, elapsed };
    this.#clockAt = { now, elapsed };
    if (Math.abs(now - then - (elapsed - at)) < clockToleranceMs) return;
    for (const app of this.#apps.values()) app.clockSet(now);
  }

  #everyGap(now: number, why: string): void {
    for (const app of this.#apps.values()) app.gaps.add({ from: now - readEveryMs, to: now + readEveryMs, why });
  }

  /** Which apps there are, and what of their counts is old. */
  async #look(now: number): Promise<void> {
    const { places, clock } = this.#options;
    await mkdir(places.counts, { recursive: true, mode: 0o755 });
    const names = await this.#options.apps();
    for (const name of names) (await this.#of(name)).age(now);
    for (const [name, { files }] of this.#apps) {
      if (names.includes(name)) continue;
      this.#apps.delete(name);
      await files.close();
      await rm(this.#file(name), { force: true });
    }
    this.#next.look = clock.elapsed() + lookEveryMs;
  }

  async #of(name: string): Promise<AppRequests> {
    const known = this.#apps.get(name);
    if (known !== undefined) return known;
    const { places, clock } = this.#options;
    const text = await readSafelyIfExists(places.counts, this.#file(name), largestSaved).catch(() => undefined);
    const saved = text === undefined ? undefined : parseJson(text);
    const app = new AppRequests(name, requestFile(places, name), { saved, now: clock.now() });
    this.#apps.set(name, app);
    return app;
  }

  async #readApp(app: AppRequests, most: number): Promise<number> {
    try {
      const bytes = await app.read(most, this.#options.clock.now());
      if (app.files.missing || app.files.size >= rotatedSize) this.#rotate(app.app);
      else this.#retries.delete(app.app);
      return bytes;
    } catch (err) {
      this.#trouble(err, app.app);
      const now = this.#options.clock.now();
      app.gaps.add({ from: now - readEveryMs, to: now + readEveryMs, why: "the file of lines could not be read" });
      return 0;
    }
  }

  /** Nobody waits for it: the helper may be busy for minutes, and lines are read meanwhile. */
  #rotate(app: string): void {
    const now = this.#options.clock.elapsed();
    const { after, pause } = this.#retries.get(app) ?? { after: now, pause: retryMs };
    if (now < after || this.#ended) return;
    this.#retries.set(app, { after: now + pause, pause: Math.min(pause * 2, longestRetryMs) });
    this.#options.rotate(app).catch((err: unknown) => (this.#ended ? undefined : this.#trouble(err, app)));
  }

  async #save(app: AppRequests): Promise<void> {
    if (!app.changed) return;
    // Without an effect's name: it comes at any time, and whatever fails here changes nothing for visitors.
    await this.#write(app).catch((err) => this.#trouble(err, app.app));
  }

  async #write(app: AppRequests): Promise<void> {
    const file = this.#file(app.app);
    app.changed = false;
    try {
      await mkdir(this.#options.places.counts, { recursive: true, mode: 0o755 });
      await writeFile(`${file}.tmp`, JSON.stringify(app.saved(this.#options.clock.now())), { mode: 0o600 });
      await rename(`${file}.tmp`, file);
    } catch (thrown) {
      app.changed = true;
      throw thrown;
    }
  }

  #file(app: string): string {
    return join(this.#options.places.counts, `${app}.json`);
  }

  #trouble(err: unknown, app?: string): void {
    this.#options.onTrouble(err, `requests${app === undefined ? "" : ` of ${app}`} are not counted`);
  }
}
