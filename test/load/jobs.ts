import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The project with a Celery worker and beat that `JobStream` knows how to talk to and whose journal it reads. */
export const celeryProject = fileURLToPath(new URL("../fixtures/stacks/celery", import.meta.url));

export interface JobStreamOptions {
  /** The site. */
  url: string;
  /** Jobs a second. */
  rate: number;
  /** The file that the project's processes write, or that of each host. */
  journal: string | string[];
}

/** One line of the journal; `at` in milliseconds since the epoch. */
export interface JournalLine {
  at: number;
  what: string;
  pid: number;
  release: string;
  job?: number;
}

export interface SentJob {
  job: number;
  at: number;
}

/** One process of beat, by the times at which it was seen. */
export interface BeatLife {
  pid: number;
  from: number;
  to: number;
}

export interface JobReport {
  /** Jobs that the site took. */
  sent: number;
  /** What the site did not take. */
  refused: string[];
  /** Begun by no worker. */
  lost: number[];
  /** Begun, and ended by none. */
  cut: number[];
  /** Ended more than once. */
  twice: number[];
  /** From the moment at which it was to be sent until a worker began with it, by when that was. */
  waits: { at: number; ms: number }[];
  beats: BeatLife[];
  /** The longest time without a tick of beat. */
  longestTickGap: number;
}

/** Jobs at a fixed rate through the site into the queue, whatever becomes of those before. Each takes 0.2 to 1 s. */
export class JobStream implements AsyncDisposable {
  readonly #options: JobStreamOptions;
  readonly #sent: SentJob[] = [];
  readonly #refused: string[] = [];
  readonly #calls = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;

  constructor(options: JobStreamOptions) {
    this.#options = options;
    const begun = Date.now();
    this.#timer = setInterval(() => {
      const due = Math.floor(((Date.now() - begun) * options.rate) / 1000);
      while (this.#next < due) this.#send(begun + (this.#next * 1000) / options.rate);
    }, 20);
  }

  get sent(): number {
    return this.#sent.length;
  }

  #send(at: number): void {
    const job = this.#next++;
    const seconds = 0.2 + ((job * 7) % 9) / 10;
    const call = this.#call(`${this.#options.url}/jobs?number=${job}&seconds=${seconds.toFixed(1)}`)
      .then(() => void this.#sent.push({ job, at }))
      .catch((error: unknown) => void this.#refused.push(`${job}: ${error}`))
      .finally(() => this.#calls.delete(call));
    this.#calls.add(call);
  }

  async #call(url: string): Promise<void> {
    const response = await fetch(url, { method: "POST", signal: AbortSignal.timeout(30_000) });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`answered ${response.status}`);
  }

  /** Sends no more, and waits until all that was sent has been done, or nothing has happened for so long. */
  async stop(quietMs = 15_000): Promise<JobReport> {
    clearInterval(this.#timer);
    await Promise.all(this.#calls);
    let quietSince = Date.now();
    let done = -1;
    for (;;) {
      const lines = readJournal(this.#options.journal);
      const report = reportJobs(this.#sent, this.#refused, lines);
      if (report.lost.length + report.cut.length === 0) return report;
      const ended = lines.filter(({ what }) => what === "end").length;
      if (ended !== done) quietSince = Date.now();
      done = ended;
      if (Date.now() - quietSince > quietMs) return report;
      await sleep(100);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#calls);
  }
}

/** In the order of what happened, from the files of all hosts. */
export function readJournal(files: string | string[]): JournalLine[] {
  return [files]
    .flat()
    .flatMap((file) => readFileSync(file, "utf8").split("\n"))
    .filter((line) => line !== "")
    .map((line) => {
      const [at = "", what = "", pid = "", release = "", job] = line.split(" ");
      return { at: Number(at) * 1000, what, pid: Number(pid), release, ...(job !== undefined && { job: Number(job) }) };
    })
    .toSorted((a, b) => a.at - b.at);
}

export function reportJobs(sent: SentJob[], refused: string[], lines: JournalLine[]): JobReport {
  const begun = timesByJob(lines, "begin");
  const ended = timesByJob(lines, "end");
  const numbers = sent.map(({ job }) => job);
  const ticks = lines.filter(({ what }) => what === "beat-tick").map(({ at }) => at);
  return {
    sent: sent.length,
    refused,
    lost: numbers.filter((job) => !begun.has(job)),
    cut: numbers.filter((job) => begun.has(job) && !ended.has(job)),
    twice: numbers.filter((job) => (ended.get(job)?.length ?? 0) > 1),
    waits: sent.flatMap(({ job, at }) => {
      const first = begun.get(job)?.[0];
      return first === undefined ? [] : [{ at, ms: first - at }];
    }),
    beats: beatLives(lines),
    longestTickGap: Math.max(0, ...ticks.slice(1).map((at, index) => at - (ticks[index] ?? at))),
  };
}

function timesByJob(lines: JournalLine[], wanted: string): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const { what, job, at } of lines) {
    if (what === wanted && job !== undefined) times.set(job, [...(times.get(job) ?? []), at]);
  }
  return times;
}

export function beatLives(lines: JournalLine[]): BeatLife[] {
  const lives = new Map<number, BeatLife>();
  for (const { what, pid, at } of lines) {
    if (!what.startsWith("beat-")) continue;
    const { from } = lives.get(pid) ?? { from: at };
    lives.set(pid, { pid, from, to: at });
  }
  return [...lives.values()].toSorted((a, b) => a.from - b.from);
}

/** Pairs of beats that were there at the same time. */
export function beatsTogether(lives: BeatLife[]): [BeatLife, BeatLife][] {
  return lives.flatMap((one, index) =>
    lives.slice(index + 1).flatMap((other): [BeatLife, BeatLife][] => (other.from < one.to ? [[one, other]] : [])),
  );
}

/** The longest wait of the jobs that were due within one of these windows, and of the others. */
export function longestWaits(waits: JobReport["waits"], windows: { from: number; to: number }[]) {
  const longest = (some: JobReport["waits"]) => Math.max(0, ...some.map(({ ms }) => ms));
  const within = ({ at }: { at: number }) => windows.some(({ from, to }) => at >= from && at <= to);
  return { during: longest(waits.filter(within)), between: longest(waits.filter((wait) => !within(wait))) };
}
