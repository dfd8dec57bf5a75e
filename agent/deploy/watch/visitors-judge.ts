import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { CountedRequests, FailingPath, Requests } from "../../contracts/requests.ts";
import type { Comparison, Observed } from "../../judge/compare.ts";
import { dispersionOf } from "../../judge/dispersion.ts";
import { limitsOf } from "../../judge/limits.ts";
import { type JudgeOptions, ReleaseJudge, type Verdict } from "../../judge/release-judge.ts";
import { compared, inThousands, whyWorse } from "../../judge/words.ts";
import type { RunFault } from "./run-health.ts";

/** What its visitors' requests say of a run that has traffic, beside those of the run that it replaces. */

/** Every program is slow while it warms up: so long its latency does not count. */
const warmUpMs = 5000;
/** A fault that begins late in a long watch is found in the last part of it. */
const recentMs = 60_000;
const minute = 60_000;
/** How long before a cutover the old run is counted: as long as no requests were lost. The first that fits. */
const usualMs = [5 * minute, 3 * minute, 2 * minute, minute, minute / 2];
/** The same for a site with few requests. */
const quietMs = [60 * minute, 30 * minute, 15 * minute, 10 * minute];
/** In so many windows failures are counted one by one. */
const windows = 30;
const shortestWindowMs = 10_000;

const noneYet = "no requests were counted yet";

const judgedAs = { open: "not found worse", well: "no worse", worse: "worse" };

/** A release that was a canary is judged twice: each may spend half of the allowed error. */
const half = 0.5;

interface Judged {
  requests: Requests;
  judge: ReleaseJudge;
  app: string;
  run: string;
  /** The run that it is compared with: before `since`, or at the same time. */
  baseline: string;
  beside: boolean;
  /** How many requests each of the two needs. */
  fewest: number;
  /** When the run got its traffic, in milliseconds since the epoch. */
  since: number;
}

/** `unjudged`: the counts cannot be trusted, or there are none. */
export type VisitorsVerdict = (Verdict & { failing: FailingPath[] }) | { kind: "unjudged"; why: string };

interface Window {
  from: number;
  to: number;
}

interface Baseline {
  observed: Observed;
  dispersion: number;
}

interface JudgedRun {
  spec: RunSpec;
  /** The run that it replaces; null if there is none. */
  baseline: string | null;
  /** When it got its traffic, in milliseconds since the epoch. */
  since: number;
}

/**
 * The judge of a watch after a cutover; undefined if nothing is to be judged.
 * @param wasCanary whether a canary's judge has spent its part before
 */
export function judgeOfWatch(
  ports: Pick<Ports, "requests">,
  run: JudgedRun,
  { looks, wasCanary }: { looks: number; wasCanary: boolean },
): VisitorsJudge | undefined {
  return open(ports, run, { looks, ...(wasCanary && { share: half }) }, false);
}

/** The judge of a canary, whatever its steps; undefined if nothing is to be judged. */
export function judgeOfCanary(ports: Pick<Ports, "requests">, run: JudgedRun): VisitorsJudge | undefined {
  return open(ports, run, { share: half }, true);
}

function open(
  { requests }: Pick<Ports, "requests">,
  { spec: { app, run, config }, baseline, since }: JudgedRun,
  options: JudgeOptions,
  beside: boolean,
): VisitorsJudge | undefined {
  const limits = limitsOf(config);
  if (limits === undefined || baseline === null || baseline === run) return undefined;
  const judge = new ReleaseJudge(limits, options);
  return new VisitorsJudge({ requests, judge, app, run, baseline, beside, fewest: limits.requests, since });
}

export class VisitorsJudge {
  readonly #judged: Judged;
  #since: number;
  #before: Baseline | undefined;
  #last: VisitorsVerdict = { kind: "unjudged", why: noneYet };

  constructor(judged: Judged) {
    this.#judged = judged;
    this.#since = judged.since;
  }

  /** The run has another share of the traffic from now on. */
  restart(since: number): void {
    this.#since = since;
    this.#judged.judge.restart();
    this.#last = { kind: "unjudged", why: noneYet };
  }

  /** What the last look has found. */
  get last(): VisitorsVerdict {
    return this.#last;
  }

  /** @param weight the run's share of the traffic, in percent */
  async look(weight = 100): Promise<VisitorsVerdict> {
    const { requests, app } = this.#judged;
    await requests.read(app);
    this.#last = this.#verdict(weight);
    return this.#last;
  }

  #verdict(weight: number): VisitorsVerdict {
    const { requests, judge, app, run } = this.#judged;
    const { readUntil } = requests.counted(app, { from: this.#since });
    const whole = { from: this.#since, to: readUntil };
    const counted = requests.counted(app, whole);
    const why = whyUnjudged(counted) ?? (whole.to <= whole.from ? noneYet : undefined);
    if (why !== undefined) return { kind: "unjudged", why };
    const warm = { from: this.#since + warmUpMs, to: readUntil };
    const comparison = this.#comparison(whole, warm);
    if (comparison === undefined) return { kind: "unjudged", why: "the requests before were not counted as a whole" };
    const recent = { from: readUntil - recentMs, to: readUntil };
    const late = recent.from > warm.from ? this.#comparison(recent, recent) : undefined;
    return { ...judge.look(comparison, late, weight), failing: countsOf(counted, run)?.failing ?? [] };
  }

  /** @param warm the part of the window in which the latency counts */
  #comparison(window: Window, warm: Window): Comparison | undefined {
    const { run, beside } = this.#judged;
    const baseline = beside ? this.#baseline(window, warm) : this.#baselineBefore();
    if (baseline === undefined) return undefined;
    const { observed, dispersion } = baseline;
    return { candidate: this.#observed(run, window, warm), baseline: observed, dispersion };
  }

  /** Counted once: it does not change any more. */
  #baselineBefore(): Baseline | undefined {
    if (this.#before !== undefined) return this.#before;
    const { requests, app, baseline, fewest } = this.#judged;
    const before = (length: number): Window => ({ from: this.#since - length, to: this.#since });
    const isWhole = (window: Window) => whyUnjudged(requests.counted(app, window)) === undefined;
    let window = usualMs.map(before).find(isWhole);
    if (window === undefined) return undefined;
    if (this.#observed(baseline, window).requests < fewest) window = quietMs.map(before).find(isWhole) ?? window;
    this.#before = this.#baseline(window, window);
    return this.#before;
  }

  #baseline(window: Window, warm: Window): Baseline {
    const { baseline } = this.#judged;
    const length = Math.max(shortestWindowMs, (window.to - window.from) / windows);
    const failures: number[] = [];
    for (let from = window.from; from + length <= window.to; from += length) {
      failures.push(this.#observed(baseline, { from, to: from + length }).failed);
    }
    return { observed: this.#observed(baseline, window, warm), dispersion: dispersionOf(failures) };
  }

  #observed(run: string, window: Window, warm = window): Observed {
    const { requests, app } = this.#judged;
    const all = countsOf(requests.counted(app, window), run);
    const later = warm === window ? all : warm.to > warm.from && countsOf(requests.counted(app, warm), run);
    return {
      requests: all?.requests ?? 0,
      failed: all?.classes["5xx"] ?? 0,
      latency: later ? later.latency : [],
    };
  }

  /** How it stands, for a run that stays. @param spent how long it was looked at, such as `30s` */
  said(spent: string): string {
    const { run, baseline, beside, fewest } = this.#judged;
    const last = this.#last;
    if (last.kind === "unjudged") return `${run} is not judged by its visitors: ${last.why}`;
    if (last.kind !== "few") {
      const numbers = compared(last.comparison, this.#baselineWords);
      return `${run} is judged by its visitors, and ${judgedAs[last.kind]}: ${numbers}`;
    }
    const { candidate, baseline: other } = last.comparison;
    const few =
      candidate.requests < fewest
        ? `it had ${inThousands(candidate.requests)} requests in ${spent}`
        : `${baseline} had ${inThousands(other.requests)} requests ${beside ? "at the same time" : "before"}`;
    return `${run} is not judged by its visitors: ${few}, and ${inThousands(fewest)} are needed`;
  }

  get #baselineWords(): string {
    return this.#judged.beside ? "the live release at the same time" : "before";
  }

  /** What is wrong for its visitors, as a clause, with the paths that failed most. */
  fault(verdict: Extract<VisitorsVerdict, { kind: "worse" }>): RunFault {
    const { failing } = verdict;
    const why = whyWorse(verdict, this.#baselineWords);
    if (verdict.by === "latency" || failing[0] === undefined) return { code: "visitors_failed", text: why };
    const text = `${why}. Most of them: ${failing[0].path}`;
    const lines = failing.map(({ path, count }) => `${inThousands(count)} ${path}`);
    const evidence = [{ source: "paths that answered 5xx", text: lines.join("\n") }];
    return { code: "visitors_failed", text, inLogs: true, evidence };
  }
}

function whyUnjudged({ absent, gap }: CountedRequests): string | undefined {
  return absent === true ? "nginx has written no line of a request" : gap;
}

function countsOf({ runs }: CountedRequests, run: string) {
  return runs.find((counts) => counts.run === run);
}
