import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** How often systemd hears that the agent is well: thrice in the time that it waits. */
const pingsInTime = 3;

/**
 * systemd's view of this process, where systemd started it as `Type=notify`; elsewhere all of it does nothing. Node has no
 * unix datagrams, so systemd's own systemd-notify sends them; it waits until each was read.
 */
export class ServiceManager {
  readonly #env: NodeJS.ProcessEnv;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(env: NodeJS.ProcessEnv, onError: (error: unknown) => void) {
    this.#env = env;
    this.#onError = onError;
  }

  /** The agent answers. From now on systemd is told so again and again, if it wants to know. */
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
