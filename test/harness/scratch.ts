import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ProcessId, processesOfPidFiles, signalAll, waitForEnd, withDescendants } from "./processes.ts";

/**
 * A temporary directory, with the processes that were started for it. Both go when it is disposed of, and also when this
 * process exits or is told to, so that nothing is left on the machine.
 */
export class Scratch implements AsyncDisposable {
  readonly path: string;
  readonly #processes: ProcessId[] = [];

  constructor(name = "test") {
    // Short: a socket's path has 107 bytes.
    this.path = mkdtempSync(join(tmpdir(), `cutover-${name}-`));
    // The app's user and nginx's workers go through it.
    chmodSync(this.path, 0o755);
    cleanUpAtExit();
    open.add(this);
  }

  /** Ends with the directory, together with all that it started. */
  adopt(process: ProcessId | undefined): void {
    if (process !== undefined) this.#processes.push(process);
  }

  /** Before a test kills something whose children would then be nobody's: all that runs now ends with the directory. */
  remember(): void {
    this.#processes.push(...this.processes());
  }

  processes(): ProcessId[] {
    return withDescendants([...this.#processes, ...processesOfPidFiles(this.path)]);
  }

  /** Asks the processes to end, then makes them; what they started in the meantime too. */
  async endProcesses(graceMs = 3000): Promise<void> {
    const seen = this.processes();
    signalAll(seen, "SIGTERM");
    await waitForEnd(seen, graceMs);
    const left = [...seen, ...this.processes()];
    signalAll(left, "SIGKILL");
    await waitForEnd(left, 3000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endProcesses();
    this.removeNow();
  }

  removeNow(): void {
    signalAll(this.processes(), "SIGKILL");
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
    open.delete(this);
  }
}

const open = new Set<Scratch>();
let registered = false;

function cleanUpAtExit(): void {
  if (registered) return;
  registered = true;
  process.on("exit", () => {
    for (const scratch of open) scratch.removeNow();
  });
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    process.on(signal, () => {
      // Whoever handles the signal as well takes its own time to end.
      if (process.listenerCount(signal) === 1) process.exit(code);
    });
  }
}
