import type { Ports } from "../../contracts/ports.ts";
import type { ProgramStatus } from "../../contracts/privileged.ts";

/**
 * supervisord is asked so often whether there is a program that was not there before, such as a process after a handover. It is
 * asked through the helper, which ends if nothing is asked for half a minute.
 */
const askMs = 5 * 60_000;
/** And so often at first about one without a process, then half as often each time: it may be down for days. */
const firstPauseMs = 3000;

/** One program of a live run. */
interface Counted {
  pid: number;
  restarts: number;
}

interface CountedRun {
  run: string;
  programs: Map<string, Counted>;
  /** When counting began, if the run was live already when this agent started. */
  since: string | undefined;
  /** By `elapsed`: when supervisord is asked again although all known processes run. */
  next: number;
  /** How long a program without a process is not asked about, and by `elapsed` until when. */
  pause: number;
  paused: number;
}

export interface RestartsView {
  /** By the program's name. */
  counts: Map<string, number>;
  since: string | undefined;
}

/**
 * Counts how often the programs of each live run were started again. supervisord keeps no such number: a restart is a program
 * with another process id than at the look before, so one that exits twice between two looks counts once.
 */
export class Restarts {
  readonly #ports: Pick<Ports, "privileged" | "system" | "clock">;
  readonly #apps = new Map<string, CountedRun | undefined>();

  constructor(ports: Pick<Ports, "privileged" | "system" | "clock">) {
    this.#ports = ports;
  }

  /** Called every few seconds. What cannot be asked now is asked at the next look. */
  async look(app: string, run: string | null): Promise<void> {
    const { clock, system } = this.#ports;
    const counted = this.#of(app, run);
    if (counted === undefined) return;
    const pids = [...counted.programs.values()].map(({ pid }) => pid);
    const now = clock.elapsed();
    if (now < ((await system.running(pids)) ? counted.next : counted.paused)) return;
    const programs = await this.#ask(app, counted.run).catch(() => undefined);
    if (programs === undefined) return;
    const isDown = programs.some(({ pid }) => pid === 0);
    counted.pause = isDown ? Math.min(Math.max(counted.pause * 2, firstPauseMs), askMs) : 0;
    counted.paused = now + counted.pause;
    counted.next = now + askMs;
    for (const program of programs) note(counted, program);
  }

  of(app: string, run: string): RestartsView {
    const counted = this.#apps.get(app);
    if (counted?.run !== run) return { counts: new Map(), since: undefined };
    const counts = [...counted.programs].map(([name, { restarts }]) => [name, restarts] as const);
    return { counts: new Map(counts), since: counted.since };
  }

  /** Forgets all other apps. */
  keep(apps: string[]): void {
    for (const app of this.#apps.keys()) if (!apps.includes(app)) this.#apps.delete(app);
  }

  #of(app: string, run: string | null): CountedRun | undefined {
    const known = this.#apps.get(app);
    if (known !== undefined && known.run === run) return known;
    if (run === null) {
      this.#apps.set(app, undefined);
      return undefined;
    }
    const since = this.#apps.has(app) ? undefined : new Date(this.#ports.clock.now()).toISOString();
    const counted = { run, programs: new Map<string, Counted>(), since, next: 0, pause: 0, paused: 0 };
    this.#apps.set(app, counted);
    return counted;
  }

  async #ask(app: string, run: string): Promise<ProgramStatus[]> {
    const { privileged } = this.#ports;
    const web = (await privileged.programs(app, run)) ?? [];
    const groups = await privileged.processes(app);
    return [...web, ...groups.filter((group) => group.run === run).flatMap(({ programs }) => programs)];
  }
}

function note({ programs }: CountedRun, { name, pid }: ProgramStatus): void {
  // It waits for its next try.
  if (pid === 0) return;
  const before = programs.get(name) ?? { pid, restarts: 0 };
  programs.set(name, { pid, restarts: before.restarts + (before.pid === pid ? 0 : 1) });
}
