import type { Clock } from "../../contracts/ports.ts";

interface Lease {
  deployment: string;
  ms: number;
  /** Cancels the timer that ends the lease. */
  cancel(): void;
  /** Frees the app's lock. */
  unlock(): void;
}

/**
 * Between its stage and its activation a job keeps the app, so that no other deployment replaces what it has staged. The
 * lease lasts only as long as the job goes on asking for its deployment: a job that was killed leaves no lock behind.
 */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  grant(app: string, deployment: string, ms: number, unlock: () => void): void {
    this.end(app);
    this.#leases.set(app, { deployment, ms, unlock, cancel: this.#timer(app, ms) });
  }

  /** The job has asked for its deployment. */
  renew(deployment: string): void {
    for (const [app, lease] of this.#leases) {
      if (lease.deployment !== deployment) continue;
      lease.cancel();
      lease.cancel = this.#timer(app, lease.ms);
    }
  }

  /**
   * @param deployment only the lease of this deployment
   * @returns how long the lease was, in milliseconds; undefined if there was none
   */
  end(app: string, deployment?: string): number | undefined {
    const lease = this.#leases.get(app);
    if (lease === undefined || (deployment !== undefined && lease.deployment !== deployment)) return undefined;
    lease.cancel();
    this.#leases.delete(app);
    lease.unlock();
    return lease.ms;
  }

  close(): void {
    for (const app of [...this.#leases.keys()]) this.end(app);
  }

  #timer(app: string, ms: number): () => void {
    return this.#clock.after(ms, () => this.end(app));
  }
}
