import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** How many times the agent reports in the time that systemd waits for a report. */
const pingsInTime = 3;

/**
 * Reports to systemd how this process is, if systemd started it as `Type=notify`; otherwise it does nothing. Node cannot send
 * unix datagrams, so systemd's own systemd-notify sends them; it waits until each was read.
 */
export class SystemdNotifier {
  readonly #env: NodeJS.ProcessEnv;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(env: NodeJS.ProcessEnv, onError: (error: unknown) => void) {
    this.#env = env;
    this.#onError = onError;
  }

  /** The agent answers. If systemd has a watchdog for it, it also reports at intervals from now on. */
  async ready(): Promise<void> {
    await this.#notify("READY=1");
    const patienceMs = Number(this.#env.WATCHDOG_USEC ?? 0) / 1000;
    if (patienceMs === 0) return;
    this.#timer = setInterval(() => void this.#notify("WATCHDOG=1"), patienceMs / pingsInTime);
    this.#timer.unref();
  }

  async stopping(): Promise<void> {
    clearInterval(this.#timer);
    await this.#notify("STOPPING=1");
  }

  async #notify(state: string): Promise<void> {
    const { NOTIFY_SOCKET, PATH } = this.#env;
    if (NOTIFY_SOCKET === undefined) return;
    try {
      await promisify(execFile)("systemd-notify", [state], { env: { NOTIFY_SOCKET, PATH }, timeout: 10_000 });
    } catch (error) {
      this.#onError(error);
    }
  }
}
