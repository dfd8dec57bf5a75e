import { z } from "zod";
import { releaseOfRun } from "../../../shared/names.ts";
import { type CountedRequests, type LatestRequests, type RequestRole, requestRoles } from "../../contracts/requests.ts";
import { Gaps, savedGaps } from "./gaps.ts";
import { LineFiles, savedFiles } from "./line-files.ts";
import { latencyOf, parseRequestLine, type RequestLine } from "./request-line.ts";
import { RunHistory, savedHistory } from "./run-history.ts";
import { savedTally, Tally } from "./tally.ts";
import { savedBins, TimeBins } from "./time-bins.ts";

/** What is on disk of an app's counts. It is written whole: so the counts and how far the lines were read always agree. */
const savedRequests = z.object({
  /** When it was written, in milliseconds since the epoch. */
  at: z.number(),
  files: savedFiles,
  gaps: savedGaps,
  moves: savedHistory,
  totals: z.record(z.string(), savedTally),
  bins: savedBins,
});

/** In milliseconds: how far from now a line's time may be. Older lines are read after an absence of the agent. */
const aheadMs = 2000;
const oldestMs = 3600_000;

const clockWasSet = "the host's clock was set";

/** The requests of one app: how far its lines were read, what was counted, and where its slots led. */
export class AppRequests {
  readonly files: LineFiles;
  readonly history: RunHistory;
  readonly gaps: Gaps;
  readonly totals: Partial<Record<RequestRole, Tally>>;
  readonly latest: Partial<Record<RequestRole, LatestRequests>> = {};
  /** Whether something is not on disk yet. */
  changed = false;
  readonly #app: string;
  #bins: TimeBins;
  #readUntil = 0;

  /** @param saved what an earlier agent has written; anything else counts as nothing */
  constructor(app: string, path: string, { saved, now }: { saved: unknown; now: number }) {
    const { data } = savedRequests.safeParse(saved);
    this.#app = app;
    this.files = new LineFiles(path, data?.files);
    this.history = new RunHistory(data?.moves, data?.at);
    this.gaps = new Gaps(data?.gaps);
    this.totals = Object.fromEntries(
      Object.entries(data?.totals ?? {}).map(([role, tally]) => [role, Tally.from(tally)]),
    );
    this.#bins = TimeBins.from(data?.bins ?? []);
    if (data !== undefined && data.at > now + aheadMs) this.clockSet(now);
  }

  saved(at: number): z.infer<typeof savedRequests> {
    const totals = Object.entries(this.totals).map(([role, tally]) => [role, tally.saved] as const);
    return {
      at,
      files: this.files.saved,
      gaps: this.gaps.saved,
      moves: this.history.saved,
      totals: Object.fromEntries(totals),
      bins: this.#bins.saved,
    };
  }

  /** Reads what is new. @param most in bytes @returns the bytes that were read */
  async read(most: number, now: number): Promise<number> {
    let [latest, foreign, strange] = [this.#readUntil, false, false];
    const before = this.#readUntil === 0 ? now : this.#readUntil;
    const { bytes, whole, lost } = await this.files.read(most, now, (text) => {
      const line = parseRequestLine(text);
      foreign ||= line === undefined;
      if (line === undefined) return;
      const [run, role] = this.#answered(line);
      this.#total(role).add(line);
      strange ||= line.time > now + aheadMs;
      if (line.time > now + aheadMs || line.time < now - oldestMs) return;
      if (run !== undefined) this.#remember(line, { role, release: releaseOfRun(run) });
      this.#bins.add(line, run);
      latest = Math.max(latest, line.time);
    });
    // A line that ended just now may have an earlier time, since nginx looks at the clock once for several events.
    this.#readUntil = whole ? now - 100 : latest;
    if (foreign) lost.push("lines came that nginx did not write, or not to their end");
    if (strange) lost.push(clockWasSet);
    for (const why of lost) this.gaps.add({ from: Math.min(before, now) - 1000, to: now + 1000, why });
    this.changed ||= bytes > 0 || lost.length > 0;
    return bytes;
  }

  /** Somebody has set the clock: what was counted was counted at other times. */
  clockSet(now: number): void {
    this.#bins = new TimeBins();
    for (const role of requestRoles) delete this.latest[role];
    this.history.forgetTimes();
    this.gaps.forget({ from: 0, to: now + 1000, why: clockWasSet });
    this.#readUntil = 0;
    this.changed = true;
  }

  age(now: number): void {
    this.#bins.age(now);
  }

  counted(window: { from: number; to: number }, now: number): CountedRequests {
    const { from, to, runs } = this.#bins.counted(window.from, window.to);
    const gap = window.from > now + aheadMs ? clockWasSet : this.gaps.in(window);
    return {
      ...{ from, to, runs, readUntil: this.#readUntil },
      ...(gap !== undefined && { gap }),
      ...(!this.files.seen && { absent: true }),
    };
  }

  /**
   * A slot's run when nginx connected. That was after the request came and its body was read, and before the instance's
   * answer; slow visitors may have made it long.
   */
  #answered({ time, took, status, upstream }: RequestLine): [run: string | undefined, role: RequestRole] {
    if (upstream === undefined) return [undefined, "none"];
    // An answer that nginx itself spoilt, for example because its disk is full, says nothing of the release.
    if (status >= 500 && upstream.status < 500) return [undefined, "none"];
    const found = this.history.at(upstream.address, { from: time - took, to: time - upstream.took });
    return found === undefined ? [undefined, "none"] : [found.run, found.role];
  }

  #remember(line: RequestLine, { role, release }: { role: RequestRole; release: string }): void {
    const latency = latencyOf(line);
    if (latency === undefined) return;
    const latest = this.latest[role] ?? [];
    this.latest[role] = latest;
    latest[latency.bucket] = { release, ms: latency.ms, time: line.time };
  }

  #total(role: RequestRole): Tally {
    const tally = this.totals[role] ?? new Tally();
    this.totals[role] = tally;
    return tally;
  }

  get app(): string {
    return this.#app;
  }
}
