import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import { runSpec } from "../context.ts";
import type { AppLocks } from "../queue/lock.ts";
import { type AppState, forgetWarm } from "../state.ts";
import { prune, retire } from "./retire.ts";

/** So soon it is seen that somebody has set the host's clock, by which `until` is written. The check sets the next timer. */
const longestTimerMs = 30_000;

interface Parts {
  ports: Ports;
  locks: AppLocks;
  log: Logger;
  stateOf(app: string): Promise<AppState>;
  onCut(app: string, requests: number): void;
  againMs?: number;
}

/** A run that cannot be retired, or whose end cannot be written, is tried again after this time. */
const usualAgainMs = 5000;

/** Housekeeping of `keep_warm`: retires a warm run when its time is over and no deployment holds the app. */
export class WarmRetirement {
  readonly #parts: Parts;
  readonly #timers = new Map<string, () => void>();
  /** Apps whose warm run is retired, but whose state file does not say so yet. */
  readonly #unwritten = new Set<string>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Called whenever a deployment has ended, and at start. */
  async schedule(app: string): Promise<void> {
    const { ports, stateOf } = this.#parts;
    const { warm } = await stateOf(app);
    if (warm !== null) this.#after(app, Math.max(Date.parse(warm.until) - ports.clock.now(), 0));
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
  }

  #after(app: string, ms: number): void {
    this.#timers.get(app)?.();
    if (this.#closed) return;
    const { clock } = this.#parts.ports;
    this.#timers.set(
      app,
      clock.after(Math.min(ms, longestTimerMs), () => void this.#retire(app)),
    );
  }

  /** The state is written before the release goes: a state that names a release which is gone could not be read. */
  async #pruned(state: AppState): Promise<void> {
    const { ports } = this.#parts;
    await ports.states.save(state.app, state);
    if (state.live !== null) {
      const { config } = await runSpec({ ports, state }, state.live);
      await prune({ ports, state }, config.keep);
    }
    await ports.states.save(state.app, state);
  }

  async #retire(app: string): Promise<void> {
    const { ports, locks, stateOf } = this.#parts;
    const log = this.#parts.log.child({ app });
    const unlock = locks.tryAcquire(app, () => undefined);
    // Whoever holds the app may end without a call of `schedule`: a removal that failed, for one.
    if (unlock === undefined) return this.#after(app, this.#parts.againMs ?? usualAgainMs);
    try {
      const state = await stateOf(app);
      // The deployment that is still open may have to go back to the warm run. Its end schedules this again.
      if (state.journal !== null) return;
      if (state.warm !== null) {
        const left = Date.parse(state.warm.until) - ports.clock.now();
        if (left > 0) return this.#after(app, left);
        const { run } = state.warm;
        const cut = await retire({ ports, state }, run);
        if (cut > 0) this.#parts.onCut(app, cut);
        forgetWarm(state);
        this.#unwritten.add(app);
        log.info({ run, cut }, "warm run retired");
      }
      if (!this.#unwritten.has(app)) return;
      // The run is gone by now. A passing fault must not leave it in the file, where the next start would look for it.
      const finish = () => this.#pruned(state);
      await finish().catch(finish);
      this.#unwritten.delete(app);
    } catch (err) {
      log.error({ err }, "the warm run could not be retired; it is tried again");
      this.#after(app, this.#parts.againMs ?? usualAgainMs);
    } finally {
      unlock();
    }
  }
}
