import type { NamedEffect } from "../../agent/effects.ts";
import { CutoverError } from "../../shared/errors.ts";
import { type Life, onAbort } from "./life.ts";
import type { Chances } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** What the agent does to the host, by the names of agent/effects.ts, and what it asks the host. */
export const simulated = [
  "app.prepare",
  "app.remove",
  "object.write",
  "release.rename",
  "release.sync",
  "release.remove",
  "object.collect",
  "release.share",
  "release.command",
  "environment.build",
  "environment.remove",
  "ports.reserve",
  "ports.release",
  "run.prepare",
  "launch.write",
  "programs.write",
  "programs.reload",
  "programs.add",
  "programs.start",
  "programs.share",
  "programs.stop",
  "programs.unlink",
  "programs.remove",
  "process.unlink",
  "run.remove",
  "links.publish",
  "slots.prepare",
  "slots.swap",
  "slots.tidy",
  "nginx.keep",
  "site.write",
  "upstream.write",
  "site.restore",
  "nginx.reload",
  "nginx.forget",
  "maintenance.allow",
  "maintenance.begin",
  "maintenance.end",
  "maintenance.remove",
  "events.collect",
  "logs.collect",
  "durable.rename",
  "durable.sync-directory",
] as const satisfies readonly NamedEffect[];

export const questions = [
  "ask.programs",
  "ask.processes",
  "ask.slots",
  "ask.workers",
  "ask.site",
  "ask.probe",
] as const;

export type SimEffect = (typeof simulated)[number] | (typeof questions)[number];
export const faultable: readonly SimEffect[] = [...simulated, ...questions];

/**
 * `fail`: it does not happen. `lose`: it happens, and its answer is lost. `slow`: its answer takes seconds. `kill-before` and
 * `kill-after`: the agent is killed there.
 */
export type FaultKind = "fail" | "lose" | "slow" | "kill-before" | "kill-after";

export interface ArmedFault {
  effect: SimEffect;
  kind: FaultKind;
  app: string | undefined;
  /** How often the effect goes well before. */
  after: number;
  /** How often it strikes. */
  times: number;
}

/** What goes wrong on a host, and until when. */
export class Faults {
  armed: ArmedFault[] = [];
  /** Until when, in elapsed milliseconds. */
  diskFullUntil = 0;
  helperAwayUntil = 0;
  /** When something last went wrong that the agent could see. */
  lastStruck = Number.NEGATIVE_INFINITY;
  /** When an effect was slow. */
  readonly #slow: number[] = [];
  readonly #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  strike(effect: SimEffect, app: string): FaultKind | undefined {
    for (const fault of this.armed) {
      if (fault.effect !== effect || (fault.app !== undefined && fault.app !== app)) continue;
      if (fault.after > 0) {
        fault.after--;
        continue;
      }
      if (--fault.times <= 0) this.armed = this.armed.filter((other) => other !== fault);
      this.struck();
      if (fault.kind === "slow") this.#slow.push(this.#timeline.elapsed);
      return fault.kind;
    }
    return undefined;
  }

  /** For how many milliseconds effects that answered late have held the agent up, since then. */
  slowedSince(elapsed: number): number {
    return this.#slow.filter((at) => at + slowMs > elapsed).length * slowMs;
  }

  struck(): void {
    this.lastStruck = this.#timeline.elapsed;
  }

  /** @throws as the system does, while the disk is full or the helper is away */
  refuse(effect: SimEffect): void {
    const now = this.#timeline.elapsed;
    if (now < this.diskFullUntil && writes.has(effect)) {
      this.struck();
      throw errorAt(effect, "ENOSPC");
    }
    if (now < this.helperAwayUntil && !ownEffects.has(effect)) {
      this.struck();
      throw new CutoverError("helper_unreachable", `The helper does not answer (${effect}).`);
    }
  }

  clear(): void {
    this.armed = [];
    this.diskFullUntil = 0;
    this.helperAwayUntil = 0;
  }
}

const writes = new Set<SimEffect>([
  ...([
    "object.write",
    "object.collect",
    "environment.build",
    "ports.reserve",
    "launch.write",
    "programs.write",
    "links.publish",
  ] as const),
  ...([
    "slots.prepare",
    "nginx.keep",
    "site.write",
    "upstream.write",
    "maintenance.allow",
    "maintenance.begin",
  ] as const),
  "durable.rename",
]);

/** What the agent does as its own user, without the helper. */
const ownEffects = new Set<SimEffect>([
  ...([
    "object.write",
    "object.collect",
    "release.rename",
    "release.sync",
    "links.publish",
    "slots.prepare",
    "slots.swap",
  ] as const),
  ...(["slots.tidy", "maintenance.allow", "maintenance.begin", "maintenance.end", "maintenance.remove"] as const),
  ...(["events.collect", "durable.rename", "durable.sync-directory", "ask.probe"] as const),
]);

function errorAt(effect: SimEffect, code: string): Error {
  if (effect.startsWith("programs.") || effect === "ask.programs" || effect === "ask.processes") {
    return new CutoverError("supervisor_unreachable", `supervisord does not answer (${effect}).`);
  }
  if (effect === "nginx.reload" || effect === "ask.site" || effect === "ask.workers") {
    return new CutoverError("nginx_unreachable", `nginx is not running (${effect}).`, {
      unchanged: "The site's file is as it was.",
    });
  }
  return Object.assign(new Error(`${code}: on purpose, at ${effect}`), { code });
}

interface Parts {
  timeline: Timeline;
  chances: Chances;
  faults: Faults;
  trace: (line: string) => void;
}

/** The effects of one life of the agent: each takes time, may go wrong, and never comes back to an agent that is dead. */
export class Effects {
  readonly #parts: Parts;
  readonly #life: Life;

  constructor(parts: Parts, life: Life) {
    this.#parts = parts;
    this.#life = life;
  }

  get alive(): boolean {
    return this.#life.alive;
  }

  do<T>(effect: SimEffect, app: string, work: () => T): Promise<T> {
    const { timeline, chances } = this.#parts;
    return this.#settled((resolve, reject) => {
      timeline.after(delay(chances, effect), () => this.#happen({ effect, app, work }, resolve, reject));
    });
  }

  /** What only looks. It is answered at once unless something is wrong. */
  ask<T>(effect: SimEffect, app: string, work: () => T): Promise<T> {
    return this.#settled((resolve, reject) => this.#happen({ effect, app, work }, resolve, reject));
  }

  /** Time that the agent or its helper spends. */
  wait(ms: number): Promise<void> {
    return this.#settled((resolve) => void this.#parts.timeline.after(ms, () => this.#life.alive && resolve()));
  }

  /** Looks at something that cannot go wrong. */
  look<T>(work: () => T): Promise<T> {
    return this.#settled((resolve) => resolve(work()));
  }

  /** Calls `stop` when the signal is aborted in this life. @returns what prevents that */
  onAbort(signal: AbortSignal, stop: () => void): () => void {
    return onAbort(this.#life, signal, stop);
  }

  #settled<T>(begin: (resolve: (value: T) => void, reject: (reason: unknown) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.#life.alive) return;
      try {
        begin(resolve, reject);
      } catch (thrown) {
        reject(thrown);
      }
    });
  }

  #happen<T>(
    { effect, app, work }: { effect: SimEffect; app: string; work: () => T },
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
  ): void {
    const { faults, trace } = this.#parts;
    if (!this.#life.alive) return;
    const fault = faults.strike(effect, app);
    if (fault !== undefined) trace(`  ${fault} at ${effect} of ${app}`);
    else if (!effect.startsWith("ask.")) trace(`  ${effect} of ${app}`);
    if (fault === "kill-before") this.#life.kill();
    else if (fault === "fail") reject(errorAt(effect, "EIO"));
    else this.#work({ effect, work, fault }, resolve, reject);
  }

  #work<T>(
    { effect, work, fault }: { effect: SimEffect; work: () => T; fault: FaultKind | undefined },
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
  ): void {
    const { faults, timeline } = this.#parts;
    let result: T;
    try {
      faults.refuse(effect);
      result = work();
    } catch (thrown) {
      reject(thrown);
      return;
    }
    if (fault === "kill-after") this.#life.kill();
    else if (fault === "lose") reject(errorAt(effect, "ECONNRESET"));
    else if (fault === "slow") timeline.after(slowMs, () => this.#life.alive && resolve(result));
    else if (this.#life.alive) resolve(result);
  }
}

/** How long the answer of a slow effect takes. */
export const slowMs = 7000;

function delay(chances: Chances, effect: SimEffect): number {
  const random = chances.of(effect);
  const kind = random.int(100);
  if (kind < 70) return random.int(2);
  return kind < 96 ? random.int(20) : random.int(300);
}
