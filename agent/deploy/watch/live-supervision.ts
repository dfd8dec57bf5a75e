import { milliseconds } from "../../../shared/duration.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { DownInstance, InstancesReport } from "../../contracts/instances-report.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Instance, ProgramStatus, RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";
import { runSpec } from "../context.ts";
import type { AppLocks } from "../queue/lock.ts";
import { type AppState, mayHaveCutOver } from "../state.ts";
import type { Restarts } from "./restarts.ts";
import { ShareWatch } from "./share-watch.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  locks: AppLocks;
  stateOf(app: string): Promise<AppState>;
  restarts: Restarts;
  onReport(report: InstancesReport): void;
}

/** How often the agent reads the kernel's tables of listeners. It asks supervisord only about what does not listen. */
const everyMs = 3000;
/** The longest pause between two questions while instances are down. */
const longestPauseMs = 30_000;
/** A process listens nowhere, so supervisord is asked for it now and then. */
const processesMs = 5 * 60_000;
/** How long all must run before that is reported: those that end again and again are not well in between. */
const steadyMs = 10_000;

/** What is known of an app's live run. */
interface Watched {
  spec: RunSpec;
  instances: Instance[];
  share: ShareWatch;
  /** The last deployment that had ended when `share` began. */
  deployment: string | undefined;
  /** By `elapsed`: when supervisord is asked again even though all instances listen. */
  next: number;
  /** How often supervisord was asked since something is wrong; 0 while all is well. */
  looks: number;
  /** By `elapsed`: since when all run again that were reported. */
  well: number | undefined;
  /** Those that were down at a look since something is wrong. Once is a restart; twice is a fault. */
  seen: Set<string>;
  since: string;
  /** Those that were reported. */
  reported: Map<string, DownInstance>;
}

/**
 * Keeps the live instances of all apps alive for as long as it takes: supervisord restarts what ends, and this starts what
 * supervisord gave up on, and what was stopped. It holds the app's lock meanwhile, so that no deployment runs at the same time.
 * While a deployment holds it that has not cut over yet, it starts only what has ended by itself.
 */
export class LiveSupervision {
  readonly #parts: Parts;
  readonly #watched = new Map<string, Watched>();
  readonly #closing = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** From now on the live instances of all apps are kept alive. */
  start(): void {
    void this.#run().catch((err: unknown) => {
      if (!this.#closing.signal.aborted) this.#parts.log.error({ err }, "live instances are not supervised");
    });
  }

  close(): void {
    this.#closing.abort(new Error("the agent stops"));
  }

  async #run(): Promise<never> {
    const { ports, log } = this.#parts;
    for (;;) {
      await ports.clock.sleep(everyMs, this.#closing.signal);
      const apps = await ports.apps.names().catch((): string[] => []);
      for (const app of this.#watched.keys()) if (!apps.includes(app)) this.#watched.delete(app);
      this.#parts.restarts.keep(apps);
      for (const app of apps) {
        this.#closing.signal.throwIfAborted();
        await this.#check(app).catch((err: unknown) => log.warn({ err, app }, "live instances could not be checked"));
      }
    }
  }

  async #check(app: string): Promise<void> {
    const { ports, restarts, stateOf } = this.#parts;
    const state = await stateOf(app).catch(() => undefined);
    if (state === undefined) return;
    await restarts.look(app, state.live);
    // In a cutover two runs share the traffic, and its own watch decides.
    if (mayHaveCutOver(state)) return;
    const watched = await this.#of(state);
    if (watched === undefined) return;
    const { instances } = watched;
    const open = await ports.connections.listening(instances.map(({ address }) => address));
    const silent = instances.filter(({ address }) => !open.has(address)).map(({ name }) => name);
    const now = ports.clock.elapsed();
    const isNew = watched.looks === 0 && silent.length > 0;
    const isOver = watched.looks > 0 && silent.length === 0;
    await watched.share.look(isOver);
    if (!isNew && !isOver && now < watched.next) return;
    if (!(await this.#lookAlone(watched, silent))) return;
    const pause = Math.min(everyMs * 2 ** (watched.looks - 1), longestPauseMs);
    watched.next = now + (watched.looks > 0 ? pause : nextQuestion(watched.spec));
  }

  /** undefined without a live run, and while nobody knows where it listens. */
  async #of(state: AppState): Promise<Watched | undefined> {
    const { ports } = this.#parts;
    const { app, live } = state;
    const known = this.#watched.get(app);
    const deployment = state.history[0]?.id;
    if (live === null) return undefined;
    if (known?.spec.run === live) {
      // Between two looks another run may have been live, and this one retired and started again.
      if (known.deployment !== deployment) Object.assign(known, { deployment, share: this.#shareOf(known.spec) });
      return known;
    }
    const spec = await runSpec({ ports, state }, live);
    const instances = await ports.privileged.instances(spec);
    if (instances.length === 0) return undefined;
    const fresh = { looks: 0, well: undefined, seen: new Set<string>() };
    const { since, reported } = known ?? { since: "", reported: new Map<string, DownInstance>() };
    // What was reported of the run before is over when this one runs: so it is asked at once.
    const next = reported.size > 0 ? 0 : ports.clock.elapsed() + nextQuestion(spec);
    const watched = { spec, instances, share: this.#shareOf(spec), deployment, ...fresh, next, since, reported };
    this.#watched.set(app, watched);
    return watched;
  }

  #shareOf(spec: RunSpec): ShareWatch {
    return new ShareWatch(this.#parts.ports, spec, this.#parts.log);
  }

  /** @returns false if the app's removal, or something like it, has the app now */
  async #lookAlone(watched: Watched, silent: string[]): Promise<boolean> {
    const { locks, stateOf } = this.#parts;
    const { app, run } = watched.spec;
    const unlock = locks.tryAcquire(app, () => undefined);
    if (unlock === undefined && locks.inHousekeeping(app)) return false;
    try {
      const state = await stateOf(app);
      if (state.live !== run || mayHaveCutOver(state)) return false;
      await this.#look(watched, silent, unlock !== undefined);
      return true;
    } finally {
      unlock?.();
    }
  }

  /** Asks supervisord, which starts again what does not run, and reports what has changed. */
  async #look(watched: Watched, silent: string[], isAlone: boolean): Promise<void> {
    const { ports } = this.#parts;
    const { spec, seen } = watched;
    // Who has closed the site knows that something is wrong, and may have stopped the instances.
    const isClosed = (await ports.maintenance.state(spec.app)) !== undefined;
    const programs = await this.#revive(spec, isAlone && !isClosed);
    const { down, booting } = judge(programs, silent, milliseconds(spec.config.health.timeout));
    if (down.length === 0 && booting.length === 0) return this.#well(watched);
    if (watched.looks === 0 && watched.reported.size === 0) watched.since = new Date(ports.clock.now()).toISOString();
    const isFault = down.some(({ name }) => seen.has(name));
    for (const { name } of down) seen.add(name);
    Object.assign(watched, { looks: watched.looks + 1, well: undefined });
    if (isFault && !isClosed) this.#report(watched, "instances_down", [...down, ...booting]);
  }

  #well(watched: Watched): void {
    const now = this.#parts.ports.clock.elapsed();
    watched.seen.clear();
    watched.well ??= now;
    if (watched.reported.size > 0 && now - watched.well < steadyMs) {
      watched.looks = 1;
      return;
    }
    Object.assign(watched, { looks: 0, well: undefined });
    this.#report(watched, "instances_up", []);
  }

  /** A question that is not answered says only that supervisord, or the helper, does not answer. */
  async #revive({ app, run }: RunSpec, stopped: boolean): Promise<ProgramStatus[] | string> {
    const { privileged } = this.#parts.ports;
    try {
      return (await privileged.revivePrograms(app, run, stopped)) ?? "supervisord does not know it";
    } catch (thrown) {
      if (!(thrown instanceof CutoverError)) throw thrown;
      return thrown.message;
    }
  }

  #report(watched: Watched, event: InstancesReport["event"], instances: DownInstance[]): void {
    const { log, onReport } = this.#parts;
    const { spec, reported, since } = watched;
    const isDown = event === "instances_down";
    if (isDown ? instances.every(({ name }) => reported.has(name)) : reported.size === 0) return;
    const all = new Map([...reported, ...instances.map((each) => [each.name, each] as const)]);
    watched.reported = isDown ? all : new Map();
    const named = [...all.values()];
    const about = { app: spec.app, run: spec.run, instances: named, since };
    if (isDown) log.error(about, "live instances do not run; they are started again for as long as it takes");
    else log.info(about, "all live instances run again");
    onReport({ event, ...about });
  }
}

function nextQuestion({ config }: RunSpec): number {
  return Object.keys(config.processes).length > 0 ? processesMs : Number.POSITIVE_INFINITY;
}

/**
 * Which instances and processes are down, and which instances boot: those run, and do not listen yet.
 * @param programs what supervisord says, or why it says nothing
 * @param silent the instances that do not listen
 */
function judge(
  programs: ProgramStatus[] | string,
  silent: string[],
  bootMs: number,
): Record<"down" | "booting", DownInstance[]> {
  if (typeof programs === "string") {
    return { down: silent.map((name) => ({ name, state: "UNKNOWN", detail: programs })), booting: [] };
  }
  const down: DownInstance[] = [];
  const booting: DownInstance[] = [];
  for (const { name, state, detail, uptime } of programs) {
    if (state !== "RUNNING" && state !== "STARTING") down.push({ name, state, detail });
    else if (silent.includes(name))
      (uptime < bootMs ? booting : down).push({ name, state, detail: "it does not listen on its address" });
  }
  return { down, booting };
}
