import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import type { DeployQueue } from "../queue/queue.ts";
import type { AppState } from "../state.ts";

/** The first pause before a deployment that stayed open is tried again; each further one is twice as long. */
const firstPauseMs = 5000;
const longestPauseMs = 60_000;

interface Parts {
  ports: Ports;
  log: Logger;
  queue: DeployQueue;
  stateOf(app: string): Promise<AppState>;
  /** Goes on with a deployment that was left at a safe point. @returns whether it does; then the lock stays with it */
  resume(app: string, unlock: () => void): Promise<boolean>;
  /** Called when the app is free again. Must not throw. */
  onFree(app: string): Promise<void>;
}

/**
 * Deployments that could be neither finished nor undone, since supervisord was down or the disk was full, and those that a
 * start could not resume. They are tried again until it works, also while the app is held: nobody has to restart the agent for
 * it. These attempts do not count towards a hold, because nothing was killed.
 */
export class OpenDeployments {
  readonly #parts: Parts;
  readonly #timers = new Map<string, () => void>();
  readonly #pauses = new Map<string, number>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Called whenever a deployment has ended or was refused, and at start. A call that is refused does not put the next try off. */
  async schedule(app: string): Promise<void> {
    const open = (await this.#parts.stateOf(app)).journal !== null;
    if (!open) this.#forget(app);
    if (!open || this.#closed || this.#timers.has(app)) return;
    const pause = this.#pauses.get(app) ?? firstPauseMs;
    this.#pauses.set(app, Math.min(pause * 2, longestPauseMs));
    const { clock } = this.#parts.ports;
    this.#timers.set(
      app,
      clock.after(pause, () => void this.#retry(app)),
    );
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers.values()) cancel();
  }

  #forget(app: string): void {
    this.#timers.get(app)?.();
    this.#timers.delete(app);
    this.#pauses.delete(app);
  }

  async #retry(app: string): Promise<void> {
    const { log, queue, stateOf, resume, onFree } = this.#parts;
    this.#timers.delete(app);
    const unlock = queue.locks.tryAcquire(app, () => queue.holder(app));
    // A deployment that holds the app recovers it first. What is no deployment may leave it open.
    if (unlock === undefined)
      return this.schedule(app).catch((err: unknown) => log.error({ err, app }, "not tried again"));
    try {
      const state = await stateOf(app);
      if (state.journal?.onward !== undefined) {
        // It goes on in the background, and has the lock until its end.
        if (await resume(app, unlock)) return;
      } else if (state.journal !== null) {
        await queue.recover(app, state, { retry: true });
      }
    } catch (err) {
      log.error({ err, app }, "an open deployment could not be recovered; it is tried again");
    }
    unlock();
    await onFree(app);
  }
}
