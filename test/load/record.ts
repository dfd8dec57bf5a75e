import { type Kind, kinds } from "./options.ts";
import {
  byKind,
  type FailedRequest,
  type LoadReport,
  type LoadSnapshot,
  summarize,
  type VersionSeen,
} from "./report.ts";

const keptFailures = 1000;

/** Counts what happens to each request: it is sent once, and then succeeds or fails once. */
export class LoadRecord {
  readonly #started = Date.now();
  readonly #origin = performance.now();
  readonly #rate: number;
  readonly #counts = byKind(() => ({ sent: 0, ok: 0, failed: 0 }));
  readonly #samples = byKind(() => ({ at: [] as number[], ms: [] as number[] }));
  readonly #lags: number[] = [];
  readonly #failures: FailedRequest[] = [];
  readonly #versions = new Map<string, VersionSeen>();
  #latest: VersionSeen | undefined;

  constructor(rate: number) {
    this.#rate = rate;
  }

  /** Milliseconds since the start. */
  elapsed(): number {
    return rounded(performance.now() - this.#origin);
  }

  /** @param due when it was to be sent, in milliseconds since the start */
  sent(kind: Kind, due: number): void {
    this.#counts[kind].sent++;
    this.#lags.push(rounded(this.elapsed() - due));
  }

  succeeded(kind: Kind, due: number): void {
    this.#counts[kind].ok++;
    this.#samples[kind].at.push(rounded(due));
    this.#samples[kind].ms.push(rounded(this.elapsed() - due));
  }

  failed(failure: Omit<FailedRequest, "time">): void {
    this.#counts[failure.kind].failed++;
    if (this.#failures.length >= keptFailures) return;
    this.#failures.push({ ...failure, time: new Date(this.#started + failure.at).toISOString() });
  }

  answered(version: string, release: string, pid: number): void {
    const now = this.elapsed();
    const key = `${version} ${release}`;
    const seen = this.#versions.get(key) ?? { version, release, pids: [], first: now, last: now, count: 0 };
    seen.last = now;
    seen.count++;
    if (!seen.pids.includes(pid)) seen.pids.push(pid);
    this.#versions.set(key, seen);
    this.#latest = seen;
  }

  snapshot(): LoadSnapshot {
    const { sent, ok, failed } = this.#total();
    const latest = this.#latest && { version: this.#latest.version, release: this.#latest.release };
    return { elapsedMs: this.elapsed(), sent, ok, failed, inFlight: sent - ok - failed, latest };
  }

  /** @throws Error when a request was sent of which nothing was heard */
  report(): LoadReport {
    const total = this.#total();
    if (total.sent !== total.ok + total.failed) {
      throw new Error(`${total.sent} requests were sent, but ${total.ok} succeeded and ${total.failed} failed`);
    }
    const reports = Object.fromEntries(
      kinds.map((kind) => [kind, { ...this.#counts[kind], latency: summarize(this.#samples[kind].ms) }]),
    ) as LoadReport["kinds"];
    return {
      started: this.#started,
      elapsedMs: this.elapsed(),
      rate: this.#rate,
      ...total,
      kinds: reports,
      failures: this.#failures,
      versions: [...this.#versions.values()],
      lag: summarize(this.#lags),
      samples: this.#samples,
    };
  }

  #total(): { sent: number; ok: number; failed: number } {
    const total = { sent: 0, ok: 0, failed: 0 };
    for (const { sent, ok, failed } of Object.values(this.#counts)) {
      total.sent += sent;
      total.ok += ok;
      total.failed += failed;
    }
    return total;
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
