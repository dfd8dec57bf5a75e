import { z } from "zod";
import { releaseOfRun } from "../../../shared/names.ts";
import type { RunCounts } from "../../contracts/requests.ts";
import type { RequestLine } from "./request-line.ts";
import { savedTally, Tally } from "./tally.ts";

const second = 1000;
/** In milliseconds: for how long there is a bin for each second, and how long the wider ones are kept. */
const fineMs = 120 * second;
const keptMs = 3600 * second;
const wideMs = 10 * second;

const mostFailing = 10;

/** A bin's start and length in milliseconds, and for each run its counts. */
export const savedBins = z.array(z.tuple([z.number(), z.number(), z.array(z.tuple([z.string(), savedTally]))]));

interface Bin {
  start: number;
  length: number;
  /** By run; "" for what no run answered. */
  runs: Map<string, Tally>;
}

/** Counts of an app's requests by time and run: by the second at first, later by ten seconds. */
export class TimeBins {
  #bins = new Map<number, Bin>();

  static from(saved: z.infer<typeof savedBins>): TimeBins {
    const bins = new TimeBins();
    for (const [start, length, runs] of saved) {
      const tallies = runs.map(([run, tally]) => [run, Tally.from(tally)] as const);
      bins.#bins.set(start, { start, length, runs: new Map(tallies) });
    }
    return bins;
  }

  get saved(): z.infer<typeof savedBins> {
    return [...this.#bins.values()].map(({ start, length, runs }) => [
      start,
      length,
      [...runs].map(([run, tally]) => [run, tally.saved]),
    ]);
  }

  add(line: RequestLine, run: string | undefined): void {
    const wide = floor(line.time, wideMs);
    const start = this.#bins.get(wide)?.length === wideMs ? wide : floor(line.time, second);
    tallyOf(this.#bin(start, second), run ?? "").add(line);
  }

  /** Makes old bins wider, and forgets the oldest. */
  age(now: number): void {
    for (const bin of [...this.#bins.values()]) {
      if (bin.start < now - keptMs) this.#bins.delete(bin.start);
      else if (bin.length === second && bin.start < floor(now - fineMs, wideMs)) this.#widen(bin);
    }
  }

  /** What overlaps a window, and the window to which it was widened. */
  counted(from: number, to: number): { from: number; to: number; runs: RunCounts[] } {
    const sums = new Map<string, Tally>();
    const window = { from: floor(from, second), to: Math.ceil(to / second) * second };
    for (const { start, length, runs } of this.#bins.values()) {
      if (start + length <= from || start >= to) continue;
      window.from = Math.min(window.from, start);
      window.to = Math.max(window.to, start + length);
      for (const [run, tally] of runs) {
        const sum = sums.get(run) ?? new Tally();
        sum.merge(tally);
        sums.set(run, sum);
      }
    }
    const runs = [...sums].map(([run, tally]) => ({
      ...(run === "" ? { run: null, release: null } : { run, release: releaseOfRun(run) }),
      ...tally.counts,
      failing: tally.failing(mostFailing),
    }));
    return { ...window, runs };
  }

  #bin(start: number, length: number): Bin {
    const bin = this.#bins.get(start) ?? { start, length, runs: new Map<string, Tally>() };
    this.#bins.set(start, bin);
    return bin;
  }

  #widen(bin: Bin): void {
    this.#bins.delete(bin.start);
    const wide = this.#bin(floor(bin.start, wideMs), wideMs);
    // The first second of ten has the same start.
    wide.length = wideMs;
    for (const [run, tally] of bin.runs) tallyOf(wide, run).merge(tally);
  }
}

function tallyOf({ runs }: Bin, run: string): Tally {
  const tally = runs.get(run) ?? new Tally();
  runs.set(run, tally);
  return tally;
}

function floor(time: number, step: number): number {
  return time - (time % step);
}
