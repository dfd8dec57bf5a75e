import { latencyBounds, latencyBucket } from "../../../agent/contracts/requests.ts";
import type { Observed } from "../../../agent/judge/compare.ts";
import { dispersionOf } from "../../../agent/judge/dispersion.ts";
import { limitsOf } from "../../../agent/judge/limits.ts";
import { ReleaseJudge } from "../../../agent/judge/release-judge.ts";
import { seededRandom } from "../../harness/random.ts";

/** Deployments by the thousand, with visitors drawn by chance, and what the judge says of each. */

/** How the requests of one release go. */
export interface Traffic {
  /** Requests a second. */
  rate: number;
  /** The share that fails. */
  errors: number;
  /** Failures that come together on average; 1 if each comes by itself. */
  burst?: number;
  /** The median of the latencies in milliseconds, which are spread as a log-normal distribution. */
  median: number;
}

export interface Scenario {
  name: string;
  before: Traffic;
  after: Traffic;
  /** How long the release is looked at, in seconds. */
  seconds: number;
  /** The two are looked at at the same time, as with a canary. Otherwise the old one in the five minutes before. */
  beside?: boolean;
}

/** Times of the end in seconds from the beginning. */
export interface Result {
  deployments: number;
  takenBack: number[];
  /** Shown to be well so early. */
  well: number[];
  /** Too few requests until the end. */
  few: number;
}

const baselineSeconds = 300;
const lookEvery = 2;
/** Of the windows in which failures are counted. */
const windowSeconds = 10;
/** As the watch does: the first seconds of a release say nothing of its latency. */
const warmUp = 5;
/** Of the logarithm: p95 is about four times the median. */
const spread = 0.85;

class Visitors {
  readonly #random: () => number;
  readonly #traffic: Traffic;
  /** The share of the latencies up to each bound, for a quick choice. */
  readonly #buckets: Uint8Array;
  readonly seen: Observed = { requests: 0, failed: 0, latency: latencyBounds.map(() => 0).concat(0) };
  /** The failures of each window. */
  readonly failures: number[] = [];
  #burst = 0;
  #seconds = 0;

  constructor(random: () => number, traffic: Traffic) {
    this.#random = random;
    this.#traffic = traffic;
    this.#buckets = bucketsOf(traffic.median);
  }

  second(countLatency = true): void {
    const { errors, burst = 1 } = this.#traffic;
    const before = this.seen.failed;
    for (let left = this.#arrivals(); left > 0; left--) {
      this.seen.requests++;
      if (this.#burst === 0 && this.#random() < errors / burst) this.#burst = burst;
      if (this.#burst > 0) {
        this.seen.failed++;
        this.#burst--;
      }
      const bucket = this.#buckets[Math.floor(this.#random() * this.#buckets.length)] ?? 0;
      if (countLatency) this.seen.latency[bucket] = (this.seen.latency[bucket] ?? 0) + 1;
    }
    const window = Math.floor(this.#seconds++ / windowSeconds);
    this.failures[window] = (this.failures[window] ?? 0) + this.seen.failed - before;
  }

  /** Of a Poisson process: the times between arrivals are exponential. */
  #arrivals(): number {
    let count = -1;
    let at = 0;
    while (at < this.#traffic.rate) {
      at -= Math.log(1 - this.#random());
      count++;
    }
    return count;
  }
}

const known = new Map<number, Uint8Array>();

/** 65,536 equally probable latencies, as buckets: so many steps of the log-normal distribution. */
function bucketsOf(median: number): Uint8Array {
  const made = known.get(median);
  if (made !== undefined) return made;
  const random = seededRandom(Math.round(median * 1000));
  const buckets = Uint8Array.from({ length: 65_536 }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return latencyBucket(median * Math.exp(spread * normal));
  });
  known.set(median, buckets);
  return buckets;
}

export function simulate(scenario: Scenario, { deployments, seed }: { deployments: number; seed: number }): Result {
  const result: Result = { deployments, takenBack: [], well: [], few: 0 };
  const random = seededRandom(seed);
  for (let turn = 0; turn < deployments; turn++) play(scenario, random, result);
  return result;
}

function play({ before, after, seconds, beside = false }: Scenario, random: () => number, result: Result): void {
  const limits = limitsOf({});
  if (limits === undefined) throw new Error("the judge is off");
  const judge = new ReleaseJudge(limits, beside ? {} : { looks: seconds / lookEvery });
  const [baseline, candidate] = [new Visitors(random, before), new Visitors(random, after)];
  if (!beside) for (let second = 0; second < baselineSeconds; second++) baseline.second();
  let isWell = false;
  let judged = false;
  for (let second = 1; second <= seconds; second++) {
    if (beside) baseline.second(second > warmUp);
    candidate.second(second > warmUp);
    if (second % lookEvery !== 0) continue;
    const dispersion = dispersionOf(baseline.failures);
    const { kind } = judge.look({ candidate: candidate.seen, baseline: baseline.seen, dispersion });
    if (kind === "worse") return void result.takenBack.push(second);
    judged ||= kind !== "few";
    if (kind === "well" && !isWell) result.well.push(second);
    isWell ||= kind === "well";
  }
  if (!judged) result.few++;
}
