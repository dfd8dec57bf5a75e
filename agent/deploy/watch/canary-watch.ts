import type { CutoverError } from "../../../shared/errors.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";
import { runSpec } from "../context.ts";
import type { AppState } from "../state.ts";
import { answerOf, checkEveryMs, failureReason, failuresInARow, faultOf } from "./run-health.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  stateOf(app: string): Promise<AppState>;
  /** Takes the canary of this deployment back. */
  fail(deployment: string, reason: CutoverError): Promise<unknown>;
}

/** Follows the health of each canary while it has a part of the traffic, also when the job that gave it that has ended. */
export class CanaryWatch {
  readonly #parts: Parts;
  readonly #watched = new Map<string, { run: string; stop: AbortController }>();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Called whenever a deployment has ended, and at start. */
  async schedule(app: string): Promise<void> {
    const { staged } = await this.#parts.stateOf(app);
    const wanted = staged !== null && staged.weight > 0 ? staged.run : undefined;
    const watched = this.#watched.get(app);
    // A deployment that ends while the agent shuts down asks for a watch that nobody would stop. The next start begins it.
    if (watched?.run === wanted || this.#closed) return;
    watched?.stop.abort();
    this.#watched.delete(app);
    if (wanted === undefined || staged === null) return;
    const stop = new AbortController();
    this.#watched.set(app, { run: wanted, stop });
    void this.#watch(app, wanted, staged.deployment, stop.signal);
  }

  close(): void {
    this.#closed = true;
    for (const { stop } of this.#watched.values()) stop.abort();
    this.#watched.clear();
  }

  async #watch(app: string, run: string, deployment: string, signal: AbortSignal): Promise<void> {
    const { ports, log } = this.#parts;
    const pids = new Map<string, number>();
    let failures = 0;
    try {
      for (;;) {
        await ports.clock.sleep(checkEveryMs, signal);
        // A question that is not answered says nothing of the canary, and does not end its watch.
        const fault = await answerOf(() => this.#look(app, run, pids), log);
        signal.throwIfAborted();
        failures = fault === undefined ? 0 : failures + 1;
        if (fault !== undefined) log.warn({ app, run, fault, failures }, "the canary's check failed");
        if (fault !== undefined && failures >= failuresInARow && (await this.#fail(app, run, deployment, fault)))
          return;
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err, app, run }, "the canary could not be watched");
    } finally {
      if (this.#watched.get(app)?.run === run) this.#watched.delete(app);
    }
  }

  async #look(app: string, run: string, pids: Map<string, number>): Promise<string | undefined> {
    const { ports, stateOf } = this.#parts;
    const spec = await runSpec({ ports, state: await stateOf(app) }, run);
    return faultOf(ports, await ports.apps.settings(app), spec, pids);
  }

  /** @returns false if it could not be taken back now, since a deployment holds the app: the watch goes on */
  async #fail(app: string, run: string, deployment: string, fault: string): Promise<boolean> {
    const { ports, log, stateOf, fail } = this.#parts;
    try {
      const spec = await runSpec({ ports, state: await stateOf(app) }, run);
      await fail(deployment, await canaryFailed(ports, spec, fault));
      return true;
    } catch (err) {
      log.error({ err, app, run }, "the canary could not be taken back; it is tried again");
      return false;
    }
  }
}

function canaryFailed(ports: Ports, spec: RunSpec, fault: string): Promise<CutoverError> {
  return failureReason(ports, spec, {
    ...{ code: "canary_failed", said: `The canary ${spec.release} failed its checks`, fault },
    unchanged: "All traffic went back to the live release; the canary was drained, stopped and removed.",
  });
}
