import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Effect, EffectHook } from "./effects.ts";

/**
 * For tests only (test/torture): kills the agent at an effect, or makes the effect fail. main.ts loads this file only if
 * CUTOVER_FAULTS is set and the agent runs with --embedded, so on a real host it is never in memory.
 */

/**
 * What happens at an effect: the agent is killed before or after it, the effect fails with a system error before it has
 * happened, or it happens and its answer is lost.
 */
export type Fault = "kill-before" | "kill-after" | "lose" | `fail-${"ENOSPC" | "EIO" | "EMFILE" | "ECONNRESET"}`;

/**
 * A hook that looks into a directory at each effect. The file `fault` holds `<fault> <effect>`, or with ` <n>` the n-th
 * time from then on; it is removed when the fault strikes. The file `effects` gets two lines for each effect.
 */
export function injectFaults(directory: string): EffectHook {
  const faults = new FaultDirectory(directory);
  return (name, detail) => {
    const fault = faults.before(name, detail);
    return () => faults.after(name, detail, fault);
  };
}

class FaultDirectory {
  readonly #fault: string;
  readonly #log: string;

  constructor(directory: string) {
    this.#fault = join(directory, "fault");
    this.#log = join(directory, "effects");
  }

  before(name: Effect, detail: string): Fault | undefined {
    this.#record("before", name, detail);
    const fault = this.#take(name);
    if (fault === "kill-before") process.kill(process.pid, "SIGKILL");
    if (fault?.startsWith("fail-")) throw systemError(fault.slice("fail-".length), name);
    return fault;
  }

  after(name: Effect, detail: string, fault: Fault | undefined): void {
    this.#record("after", name, detail);
    if (fault === "kill-after") process.kill(process.pid, "SIGKILL");
    if (fault === "lose") throw systemError("ECONNRESET", name);
  }

  /** The time in milliseconds shows which effects follow each other without a wait between them. */
  #record(when: "before" | "after", name: Effect, detail: string): void {
    appendFileSync(this.#log, `${performance.now().toFixed(1)} ${when} ${name} ${detail}\n`);
  }

  /** The fault that strikes now. Each time counts the file's number down, by a rename; at the last time the file goes. */
  #take(name: Effect): Fault | undefined {
    let text: string;
    try {
      text = readFileSync(this.#fault, "utf8");
    } catch {
      return undefined;
    }
    const [fault, wanted, times = "1"] = text.trim().split(" ");
    if (wanted !== name) return undefined;
    if (Number(times) === 1) {
      rmSync(this.#fault);
      return fault as Fault;
    }
    writeFileSync(`${this.#fault}.tmp`, `${fault} ${wanted} ${Number(times) - 1}\n`);
    renameSync(`${this.#fault}.tmp`, this.#fault);
    return undefined;
  }
}

function systemError(code: string, name: Effect): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: on purpose, at ${name}`), { code });
}
