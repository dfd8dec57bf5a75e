import { CutoverError } from "../../../shared/errors.ts";
import type { Actor, DeploymentView } from "../../../shared/protocol.ts";
import type { Clock } from "../../contracts/ports.ts";

const unchanged = "Nothing was changed by this call.";

/** One deployment at a time for an app. A second one is refused with the name of the holder, or waits. */
export class AppLocks {
  readonly #holders = new Map<string, { view: () => DeploymentView | undefined; freed: Promise<void> }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether something other than a deployment changes the app now, such as its removal. */
  inHousekeeping(app: string): boolean {
    const holder = this.#holders.get(app);
    return holder !== undefined && holder.view() === undefined;
  }

  /** @returns what frees the lock, or undefined when it is held. `holder` is undefined for housekeeping. */
  tryAcquire(app: string, holder: () => DeploymentView | undefined): (() => void) | undefined {
    if (this.#holders.has(app)) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#holders.set(app, { view: holder, freed: promise });
    return () => {
      this.#holders.delete(app);
      resolve();
    };
  }

  /**
   * @param waitMs how long to wait for the holder to end; 0 refuses at once
   * @throws CutoverError deployment_in_progress, naming the holder
   */
  async acquire(
    app: string,
    holder: () => DeploymentView | undefined,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<() => void> {
    const deadline = this.#clock.elapsed() + waitMs;
    for (;;) {
      signal.throwIfAborted();
      const release = this.tryAcquire(app, holder);
      if (release !== undefined) return release;
      const current = this.#holders.get(app);
      const view = current?.view();
      // Housekeeping (a retire) takes seconds and is nobody's deployment: it is waited for, never reported.
      const left = view === undefined ? Math.max(waitMs, 60_000) : deadline - this.#clock.elapsed();
      if (left <= 0) throw inProgress(app, view);
      await this.#freedWithin(current?.freed, left, signal);
    }
  }

  async #freedWithin(freed: Promise<void> | undefined, ms: number, signal: AbortSignal): Promise<void> {
    const timeout = new AbortController();
    const waiting = this.#clock.sleep(ms, AbortSignal.any([timeout.signal, signal])).catch(() => {});
    await Promise.race([freed, waiting]);
    timeout.abort();
  }
}

/** @param view the deployment that holds the app; undefined for housekeeping */
export function inProgress(app: string, view: DeploymentView | undefined): CutoverError {
  const who = view === undefined ? "housekeeping" : `${view.kind} ${view.id} of ${nameOf(view.by)}`;
  const run = view?.by.run_url === undefined ? "" : ` (${view.by.run_url})`;
  const now = view?.outcome === "staged" ? "staged, and kept for its activation" : `now at state ${view?.state}`;
  const since = view === undefined ? "" : `, since ${view.started}, ${now}`;
  return new CutoverError("deployment_in_progress", `${app} is held by ${who}${run}${since}.`, {
    unchanged,
    fix: `Run it again when that one has ended, or let it wait: input \`wait\` of the Action, \`--wait\` of the command, \`?wait=\` of the call.${
      view?.outcome === "staged"
        ? ` If its job is gone: \`cutover abort ${app}\` on the host, or wait until its lease ends, a minute after the job last asked.`
        : ""
    }`,
  });
}

/** With the repository, if the token's subject does not name it. */
function nameOf({ subject, repository }: Actor): string {
  return repository === undefined || subject.includes(repository) ? subject : `${subject} in ${repository}`;
}
