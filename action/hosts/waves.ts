import { type Rollout, rolloutSchema } from "../../shared/config.ts";
import { milliseconds } from "../../shared/duration.ts";
import { sleep, type Time } from "../runner/time.ts";
import type { HostDeploy } from "./host-deploy.ts";

/** In which steps the hosts of a job get the traffic, and how many of them may fail. */
export interface Plan {
  /** Hosts at the same time. */
  parallel: number;
  /** So many go first, together. */
  canaryHosts: number;
  /** Between two waves. */
  pauseMs: number;
  maxFailures: number;
}

/** Host by host, and none may fail. */
export const usualPlan: Plan = { parallel: 1, canaryHosts: 0, pauseMs: 0, maxFailures: 0 };

/** @param over what the step's inputs say, key by key */
export function planOf(rollout: Rollout | undefined, over: Partial<Rollout> = {}): Plan {
  if (rollout === undefined && Object.keys(over).length === 0) return usualPlan;
  const {
    parallel,
    canary_hosts: canaryHosts,
    pause,
    max_failures: maxFailures,
  } = rolloutSchema.parse({ ...rollout, ...over });
  return {
    parallel: parallel === "all" ? Number.POSITIVE_INFINITY : parallel,
    canaryHosts,
    pauseMs: milliseconds(pause),
    maxFailures,
  };
}

/** The canary hosts, and then the others, so many at a time. */
export function wavesOf<T>(hosts: T[], { parallel, canaryHosts }: Pick<Plan, "parallel" | "canaryHosts">): T[][] {
  const first = hosts.slice(0, canaryHosts);
  const rest = hosts.slice(canaryHosts);
  const size = Math.min(parallel, Math.max(1, rest.length));
  const waves = Array.from({ length: Math.ceil(rest.length / size) }, (_, wave) =>
    rest.slice(wave * size, (wave + 1) * size),
  );
  return first.length === 0 ? waves : [first, ...waves];
}

/** The hosts that have failed. More than may fail end the job. */
export class Failures {
  readonly #max: number;
  readonly #tooMany = new AbortController();
  readonly #failed = new Map<HostDeploy, unknown>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Aborted with the failure that was one too many. */
  get tooMany(): AbortSignal {
    return this.#tooMany.signal;
  }

  get hosts(): HostDeploy[] {
    return [...this.#failed.keys()];
  }

  add(host: HostDeploy, thrown: unknown): void {
    this.#failed.set(host, thrown);
    if (this.#failed.size > this.#max) this.#tooMany.abort(thrown);
  }

  has(host: HostDeploy): boolean {
    return this.#failed.has(host);
  }

  /** @throws the first failure, if there is one */
  throwFirst(): void {
    for (const thrown of this.#failed.values()) throw thrown;
  }
}

interface Waves {
  plan: Plan;
  failures: Failures;
  signal: AbortSignal;
  time: Time;
  /** Says what is done, if there are several waves. */
  say(line: string): void;
}

/**
 * Does something on all hosts, wave by wave. A wave ends when all of its hosts have.
 * @throws what stopped the job, or the failure that was one too many
 */
export async function inWaves(
  hosts: HostDeploy[],
  { plan, failures, signal, time, say }: Waves,
  each: (host: HostDeploy) => Promise<void>,
): Promise<void> {
  const waves = wavesOf(hosts, plan);
  let done = 0;
  for (const [index, wave] of waves.entries()) {
    const start = time.elapsed();
    await oneWave(wave, { failures, signal }, each);
    done += wave.length;
    if (plan === usualPlan || waves.length === 1) continue;
    const failed = failures.hosts.length === 0 ? "" : `, ${failures.hosts.length} failed`;
    say(
      `wave ${index + 1} of ${waves.length}: ${done} of ${hosts.length} hosts done${failed}, ${seconds(time.elapsed() - start)}`,
    );
    if (plan.pauseMs > 0 && index + 1 < waves.length) {
      await sleep(time, plan.pauseMs, AbortSignal.any([signal, failures.tooMany]));
    }
  }
}

async function oneWave(
  wave: HostDeploy[],
  { failures, signal }: Pick<Waves, "failures" | "signal">,
  each: (host: HostDeploy) => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  // Nothing may be left running when the hosts are asked to undo.
  const ends = await Promise.allSettled(wave.map((host) => each(host)));
  for (const [place, end] of ends.entries()) {
    const host = wave[place];
    if (end.status === "fulfilled" || host === undefined) continue;
    if (signal.aborted) throw signal.reason;
    failures.add(host, end.reason);
  }
  failures.tooMany.throwIfAborted();
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
