import type { Config } from "../../shared/config.ts";
import { CutoverError } from "../../shared/errors.ts";
import { manifestName } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type {
  AppView,
  FilesView,
  LogsView,
  MaintenanceView,
  ReleaseView,
  RepairView,
  RequestsView,
  StoreFault,
  VerifyView,
} from "../../shared/protocol.ts";
import type { Ports } from "../contracts/ports.ts";
import type { CommandEnvironment, Service } from "../contracts/service.ts";
import type { Logger } from "../logger.ts";
import type { AppStates } from "./app-states.ts";
import { viewApp } from "./app-view.ts";
import { runSpec } from "./context.ts";
import type { DeployQueue } from "./queue/queue.ts";
import { heldState, repair } from "./recovery/repair.ts";
import { viewRequests } from "./requests-view.ts";
import { findRelease, pinRelease } from "./state.ts";
import { restoreTraffic } from "./steps/route.ts";
import { assertServable, nothingLive, servableRelease } from "./steps/target.ts";
import { Restarts } from "./watch/restarts.ts";

/** How many files that differ one answer names. */
const faultsListed = 1000;

type Operations = Omit<
  Service,
  "deploy" | "activate" | "redeploy" | "rollback" | "abort" | "deployment" | "settled" | "events" | "apps"
>;

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  queue: DeployQueue;
  /** Goes on with a deployment that was left at a safe point. @returns whether it does; then the lock stays with it */
  resume(app: string, unlock: () => void): Promise<boolean>;
}

/** What can be asked of an app and done to it without a deployment. `Service` says what each does. */
export class AppOperations implements Operations {
  readonly #ports: Ports;
  readonly #log: Logger;
  readonly #states: AppStates;
  readonly #queue: DeployQueue;
  readonly #resume: Parts["resume"];
  readonly restarts: Restarts;

  constructor({ ports, log, states, queue, resume }: Parts) {
    this.#ports = ports;
    this.#log = log;
    this.#states = states;
    this.#queue = queue;
    this.#resume = resume;
    this.restarts = new Restarts(ports);
  }

  async app(app: string): Promise<AppView> {
    const settings = await this.#ports.apps.settings(app);
    const state = await this.#states.of(app).catch((thrown: unknown) => heldState(this.#ports, app, thrown));
    const running = this.#queue.running(app)?.deployment.view;
    return viewApp({ ports: this.#ports, settings, state, running, restarts: this.restarts });
  }

  async files(app: string, release: string | "live"): Promise<FilesView> {
    return this.#ports.releases.files(app, servableRelease(await this.#states.of(app), release));
  }

  async logs(app: string, lines: number, run?: string, after?: string): Promise<LogsView> {
    const { logs } = this.#ports;
    const state = await this.#states.of(app);
    const wanted = run ?? state.live;
    if (wanted === null) throw nothingLive(app);
    return after === undefined ? { logs: await logs.tail(app, wanted, lines) } : logs.follow(app, wanted, lines, after);
  }

  async requests(app: string, seconds: number): Promise<RequestsView | undefined> {
    await this.#ports.apps.settings(app);
    const { requests, clock } = this.#ports;
    return viewRequests(requests, await this.#states.of(app), { seconds, now: clock.now() });
  }

  async environment(app: string): Promise<CommandEnvironment> {
    const state = await this.#states.of(app);
    if (state.live === null) throw nothingLive(app);
    return this.#ports.privileged.commandEnvironment(await runSpec({ ports: this.#ports, state }, state.live));
  }

  async maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined> {
    const { apps, maintenance, privileged } = this.#ports;
    await apps.settings(app);
    if (closed === null) {
      await maintenance.end(app);
      return undefined;
    }
    // An app that was never deployed has no directory yet.
    await privileged.prepareApp(app);
    return maintenance.begin(app, closed.allow);
  }

  /** undefined before the first deploy. */
  async liveConfig(app: string): Promise<Config | undefined> {
    const { live } = await this.#states.of(app);
    return live === null ? undefined : this.#ports.releases.config(app, releaseOfRun(live));
  }

  /**
   * Writes the site's text again, for example since the host has a new certificate for it. Nothing happens if it is the same.
   * @throws CutoverError deployment_in_progress, nginx_*
   */
  async refreshSite(app: string): Promise<void> {
    const unlock = await this.#queue.lock(app);
    try {
      const state = await this.#states.of(app);
      await this.#queue.assertFree(state);
      await restoreTraffic({ ports: this.#ports, state });
    } finally {
      unlock();
    }
  }

  async pin(app: string, release: string, pinned: boolean): Promise<ReleaseView> {
    const state = await this.#states.of(app);
    assertServable(state, release);
    const record = findRelease(state, release);
    if (record === undefined) throw new CutoverError("internal", `${release} has no record.`);
    pinRelease(state, release, pinned);
    await this.#ports.states.save(app, state);
    return record;
  }

  async repair(app: string): Promise<RepairView> {
    await this.#ports.apps.settings(app);
    const unlock = await this.#queue.lock(app);
    let goesOn = false;
    try {
      const view = await repair({
        ports: this.#ports,
        app,
        state: () => this.#states.of(app),
        adopt: (state) => this.#states.adopt(app, state),
        recover: (state) => this.#queue.recover(app, state, { retry: true }),
        resume: async () => {
          goesOn = await this.#resume(app, unlock);
          return goesOn;
        },
      });
      this.#log.info(view, "repaired");
      return view;
    } finally {
      if (!goesOn) unlock();
    }
  }

  async verify(app: string): Promise<VerifyView> {
    await this.#ports.apps.settings(app);
    const { releases, files, bytes, faults } = await this.#ports.releases.verify(app);
    const state = await this.#states.of(app);
    const swapped = releases.filter(({ id, digest }) => (findRelease(state, id)?.digest ?? digest) !== digest);
    const all = [
      ...swapped.map(({ id }): StoreFault => ({ release: id, path: manifestName, what: "changed" })),
      ...faults,
    ];
    const listed = all.slice(0, faultsListed);
    if (all.length > 0) this.#log.warn({ app, faults: listed }, "files are not as they were unpacked");
    return {
      app,
      releases: releases.map(({ id }) => id),
      files,
      bytes,
      faults: listed,
      more: all.length - listed.length,
    };
  }

  async removeApp(app: string, data: boolean): Promise<void> {
    const unlock = await this.#queue.lock(app);
    try {
      await this.#ports.privileged.removeApp(app, data);
    } finally {
      // Also if only a part of it could be removed: what is left is read again.
      this.#states.forget(app);
      unlock();
    }
  }
}
