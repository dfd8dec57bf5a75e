import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../contracts/ports.ts";
import type { DeployRequest } from "../../contracts/service.ts";

/** For whom an app is kept. */
export interface Lease {
  deployment: string;
  /** How long, in milliseconds, from the last time that its holder asked. */
  ms: number;
  /** Of the secret that proves who asks, in hex. Absent if an older Action brought none: then the id alone renews it. */
  digest?: string | undefined;
}

interface Kept extends Lease {
  /** When it ends whatever anybody asks; by the clock's elapsed milliseconds. */
  until: number;
  /** Cancels the timer that ends the lease. */
  cancel(): void;
  /** Frees the app's lock. */
  unlock(): void;
}

/** A deployment's id is in logs and answers, so whoever has one must not keep an app for ever. A canary may last a day. */
const longestWithoutSecretMs = 24 * 3_600_000;

/**
 * Between its stage and its activation a job keeps the app, so that no other deployment replaces what it has staged. The
 * lease lasts only as long as the job goes on asking for its deployment: a job that was killed leaves no lock behind.
 */
export class Leases {
  readonly #leases = new Map<string, Kept>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  grant(app: string, lease: Lease, unlock: () => void): void {
    this.end(app);
    const until =
      lease.digest === undefined ? this.#clock.elapsed() + longestWithoutSecretMs : Number.POSITIVE_INFINITY;
    this.#leases.set(app, { ...lease, until, unlock, cancel: this.#timer(app, lease.ms) });
  }

  /** The job has asked for its deployment. Without the lease's secret nothing is renewed. */
  renew(deployment: string, secret: string | undefined): void {
    for (const [app, lease] of this.#leases) {
      if (lease.deployment !== deployment || !holds(lease, secret)) continue;
      lease.cancel();
      lease.cancel = this.#timer(app, Math.max(0, Math.min(lease.ms, lease.until - this.#clock.elapsed())));
    }
  }

  /**
   * @param deployment only the lease of this deployment
   * @returns the lease that there was
   */
  end(app: string, deployment?: string): Lease | undefined {
    const lease = this.#leases.get(app);
    if (lease === undefined || (deployment !== undefined && lease.deployment !== deployment)) return undefined;
    lease.cancel();
    this.#leases.delete(app);
    lease.unlock();
    return { deployment: lease.deployment, ms: lease.ms, digest: lease.digest };
  }

  close(): void {
    for (const app of [...this.#leases.keys()]) this.end(app);
  }

  #timer(app: string, ms: number): () => void {
    return this.#clock.after(ms, () => this.end(app));
  }
}

/** What a call asks for. */
export function leaseOf({ leaseMs, leaseSecret }: DeployRequest): Omit<Lease, "deployment"> {
  return { ms: leaseMs, digest: leaseSecret === undefined ? undefined : leaseDigest(leaseSecret) };
}

/** What is kept of a lease's secret, also in the journal: with it nobody can renew the lease. */
function leaseDigest(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function holds({ digest }: Lease, secret: string | undefined): boolean {
  if (digest === undefined) return true;
  return secret !== undefined && timingSafeEqual(Buffer.from(leaseDigest(secret)), Buffer.from(digest));
}
