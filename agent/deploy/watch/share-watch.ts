import type { Ports } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import type { Logger } from "../../logger.ts";
import { giveFullShare } from "../steps/full-share.ts";

/**
 * A new run boots with a lower share of the processor only if it is started within half a minute of the writing of its launch
 * files, so a restart after this time, in milliseconds, has the full share by itself.
 */
const youngMs = 40_000;

/**
 * Sees to it that a live run has the full share of the processor, whatever happened before: an agent that was killed, a helper
 * that was away, an instance that ended and was started again a moment after the cutover.
 */
export class ShareWatch {
  readonly #ports: Ports;
  readonly #spec: RunSpec;
  readonly #log: Logger;
  readonly #young: number;
  /** By `elapsed`: when the host is asked next. */
  #next = 0;
  #said = false;

  constructor(ports: Ports, spec: RunSpec, log: Logger) {
    this.#ports = ports;
    this.#spec = spec;
    this.#log = log;
    this.#young = ports.clock.elapsed() + youngMs;
  }

  /** Called at each look. @param restarted whether an instance listens again that did not */
  async look(restarted: boolean): Promise<void> {
    const now = this.#ports.clock.elapsed();
    if (!restarted && now < this.#next) return;
    // The log says it once for each run.
    const given = await giveFullShare(this.#ports, this.#spec, this.#said ? undefined : this.#log);
    this.#said ||= !given;
    if (given) this.#next = now < this.#young ? this.#young : Number.POSITIVE_INFINITY;
  }
}
