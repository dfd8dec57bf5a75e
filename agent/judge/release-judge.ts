import { type Comparison, failsMore, isSlower, isWell } from "./compare.ts";
import type { JudgeLimits } from "./limits.ts";

/**
 * `few`: too few requests to judge by. `open`: enough, and neither of the others yet. `well`: shown to be no worse than the
 * limits allow. `worse`: fails its visitors.
 */
export type Verdict =
  | { kind: "few" | "open" | "well"; comparison: Comparison }
  | { kind: "worse"; by: "errors" | "latency"; comparison: Comparison };

/** Errors that came in one moment may have been a database's, so they must have come between so many looks. */
const failingLooks = 2;

/** From this share of the traffic on, in percent, the limit itself counts; below it more, up to a tenth of the requests. */
const fullWeight = 50;
const mostAllowed = 0.1;

/**
 * How much more of a release's requests may fail if it is shown to be well. A small share of the traffic can only harm few, so
 * less evidence is enough for its next step.
 */
function allowedErrors(limit: number, weight: number): number {
  return Math.max(limit, Math.min(mostAllowed, (limit * fullWeight) / weight));
}

export interface JudgeOptions {
  /** How many looks there will be; undefined if nobody knows. */
  looks?: number | undefined;
  /** The share of the allowed error that is this judge's: others may judge the same release at another time. */
  share?: number;
}

/**
 * Looks at a release again and again, and is right as often as `limits` says over all looks together. Whoever tests the same
 * numbers at 99 % again and again finds something at last. So the allowed error alpha is spent look by look, as K. K. G. Lan
 * and D. L. DeMets do ("Discrete sequential boundaries for clinical trials", 1983): evenly over the looks of a watch; without
 * an end in sight, alpha / (k (k + 1)) at look number k. Either way all looks together have at most alpha. That bound
 * (Bonferroni's) needs nothing of how the looks depend on each other, so it also holds for any choice of windows.
 */
export class ReleaseJudge {
  readonly #limits: JudgeLimits;
  readonly #planned: number | undefined;
  #looks = 0;
  #last: Verdict | undefined;
  #requests = 0;
  #failed = 0;
  #failing = 0;

  constructor(limits: JudgeLimits, { looks, share = 1 }: JudgeOptions = {}) {
    this.#limits = { ...limits, alpha: limits.alpha * share };
    this.#planned = looks;
  }

  /**
   * @param whole since the release has this share of the traffic
   * @param recent the last part of it, if that is shorter: for what begins late
   * @param weight the release's share of the traffic, in percent
   */
  look(whole: Comparison, recent?: Comparison, weight = 100): Verdict {
    const { requests } = whole.candidate;
    if (!this.#isEnough(whole)) return { kind: "few", comparison: whole };
    // Nothing new was seen, so nothing new can be found.
    if (this.#last !== undefined && requests === this.#requests) return this.#last;
    this.#looks++;
    this.#requests = requests;
    if (whole.candidate.failed > this.#failed) this.#failing++;
    this.#failed = whole.candidate.failed;
    this.#last = this.#verdict(whole, recent, allowedErrors(this.#limits.errors, weight));
    return this.#last;
  }

  #verdict(whole: Comparison, recent: Comparison | undefined, allowed: number): Verdict {
    const alpha = this.#spend();
    const windows = recent === undefined || !this.#isEnough(recent) ? [whole] : [whole, recent];
    for (const comparison of windows) {
      // Two questions for each window.
      const by = this.#worseBy(comparison, alpha / (2 * windows.length));
      if (by !== undefined) return { kind: "worse", by, comparison };
    }
    return { kind: isWell(whole, { ...this.#limits, errors: allowed }, alpha) ? "well" : "open", comparison: whole };
  }

  /** The release has another share of the traffic now, and its requests are counted from the beginning. */
  restart(): void {
    this.#last = undefined;
    this.#failed = 0;
    this.#failing = 0;
  }

  /** What the look that has just begun may take of the allowed error. More looks than planned find nothing more. */
  #spend(): number {
    const { alpha } = this.#limits;
    if (this.#planned === undefined) return alpha / (this.#looks * (this.#looks + 1));
    return this.#looks <= this.#planned ? alpha / this.#planned : 0;
  }

  #isEnough({ candidate, baseline }: Comparison): boolean {
    return [candidate, baseline].every(({ requests }) => requests >= this.#limits.requests);
  }

  #worseBy(comparison: Comparison, alpha: number): "errors" | "latency" | undefined {
    if (this.#failing >= failingLooks && failsMore(comparison, this.#limits, alpha)) return "errors";
    return isSlower(comparison, this.#limits, alpha) ? "latency" : undefined;
  }
}
