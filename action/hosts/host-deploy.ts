import type { HostView } from "../../shared/app-view.ts";
import type { ReportedState } from "../../shared/deployment-states.ts";
import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import type { Accepted, DeploymentView } from "../../shared/protocol.ts";
import type { Bundle } from "../bundle/bundle.ts";
import type { Begun } from "../client/agent-client.ts";
import type { HostReport } from "../report/job-report.ts";
import { realTime, type Time } from "../runner/time.ts";
import { endedBadly, hasTakenBack } from "./deployment-end.ts";
import type { Gate } from "./gate.ts";
import { goBack, ownDeploymentMs } from "./go-back.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";
import { HostProgress } from "./host-progress.ts";
import { HostUpload, type SendOptions } from "./host-upload.ts";
import { Lease } from "./lease.ts";
import { OpenDeployments, type Unanswered } from "./open-deployments.ts";

export interface HostDeployParts {
  app: HostApp;
  log: HostLog;
  /** Milliseconds since the epoch. */
  now(): number;
  time?: Time;
}

export interface StageOptions extends SendOptions {
  onState?(state: ReportedState): void;
  /** Only so many hosts upload at the same time. */
  gate?: Gate;
}

/** An activation has two ends: the traffic has moved, and the old instances are gone. */
export interface Activation {
  finished: Promise<void>;
}

/** What the job does on one host, step by step. Each step writes what happened into the host's report. */
export class HostDeploy {
  readonly report: HostReport;
  /** How it gets the bundle. */
  readonly upload: HostUpload;
  readonly #app: HostApp;
  readonly #log: HostLog;
  readonly #now: () => number;
  readonly #lease: Lease;
  readonly #progress: HostProgress;
  readonly #open: OpenDeployments;
  /** The job's release has all of the traffic here. */
  #cutOver = false;
  /** Resolves when the activation has ended, also if it failed. */
  #finished: Promise<unknown> = Promise.resolve();

  constructor({ app, log, now, time = realTime }: HostDeployParts) {
    this.#app = app;
    this.#log = log;
    this.#now = now;
    this.#lease = new Lease(time);
    this.upload = new HostUpload(app, log);
    this.report = { host: app.host, outcome: "not_started", phases: [] };
    this.#progress = new HostProgress(app, log, this.report);
    this.#open = new OpenDeployments(app, log, this.report);
  }

  /** Makes sure that an agent is there, before the job does anything that takes time. */
  async check(signal: AbortSignal): Promise<void> {
    try {
      await this.#app.check(signal);
    } catch (thrown) {
      this.#fail(signal, thrown);
      throw thrown;
    }
  }

  /** What the host is; undefined if its agent is older, or this job may not read there. */
  async system(signal: AbortSignal): Promise<HostView | undefined> {
    const view = await this.#app.view(signal).catch(() => undefined);
    signal.throwIfAborted();
    return view?.host;
  }

  /** Makes the release ready and healthy, without traffic. */
  async stage(bundle: Bundle, options: StageOptions): Promise<void> {
    const { leaseMs, signal, onState } = options;
    await this.#recorded(signal, async () => {
      this.report.release = bundle.release;
      const deployment = await this.#send(bundle, options);
      const view = await this.#follow(deployment, signal, onState);
      if (view.outcome !== "staged") throw endedBadly(view);
      this.#open.staged = deployment;
      this.report.outcome = "staged";
      // If the agent does not answer now, the next renewal asks again; if it never does, the activation fails.
      const renew = () => void this.#app.deployment(deployment, signal).catch(() => undefined);
      if (leaseMs > 0) this.#lease.keep(leaseMs, renew);
    });
  }

  async #send(bundle: Bundle, { gate, ...options }: StageOptions): Promise<string> {
    return gate === undefined ? this.#sendNow(bundle, options) : gate.through(() => this.#sendNow(bundle, options));
  }

  async #sendNow(bundle: Bundle, options: SendOptions): Promise<string> {
    const { signal } = options;
    if (signal.aborted) this.report.outcome = "not_started";
    signal.throwIfAborted();
    this.#progress.begin("upload");
    const start = this.#now();
    const deployment = await this.#begun(signal, { kind: "deploy", release: bundle.release }, () =>
      this.upload.send(bundle, options),
    );
    this.#progress.phase("upload", start, this.#now() - start);
    return deployment;
  }

  /** Resolves when the traffic has moved. @throws CutoverError when it has not */
  async activate(release: string, signal: AbortSignal): Promise<Activation> {
    this.report.release = release;
    this.#lease.end();
    const deployment = await this.#recorded(signal, () =>
      this.#begun(signal, { kind: "activate", release }, () =>
        this.#app.activate(release, 100, signal, ownDeploymentMs),
      ),
    );
    const moved = Promise.withResolvers<void>();
    const finished = this.#recorded(signal, () =>
      this.#toSuccess(deployment, signal, (state) => {
        if (state !== "cut_over") return;
        this.#hasCutOver();
        moved.resolve();
      }),
    ).catch((thrown: unknown) => this.#failedLater(thrown));
    this.#finished = finished.then(moved.resolve, moved.reject);
    await moved.promise;
    return { finished };
  }

  #hasCutOver(): void {
    this.#cutOver = true;
    this.#open.staged = undefined;
    delete this.report.note;
    if (this.report.failure === undefined) this.report.outcome = "succeeded";
  }

  #failedLater(thrown: unknown): never {
    // Its own watch has taken the release back.
    if (thrown instanceof CutoverError && hasTakenBack(thrown)) this.#cutOver = false;
    else if (this.#cutOver && this.report.failure === thrown) this.report.note = this.#traffic;
    throw thrown;
  }

  get #traffic(): string {
    return `${this.report.release} has the traffic.`;
  }

  /** Gives the staged release a part of the traffic, in percent. It stays staged, so an abort takes it back. */
  async shift(release: string, weight: number, signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      this.#progress.prefix = `${weight} %: `;
      try {
        const call = () => this.#app.activate(release, weight, signal, ownDeploymentMs);
        await this.#toSuccess(await this.#begun(signal, { kind: "activate", release }, call), signal);
        this.report.outcome = "staged";
        this.report.note = `It has ${weight} % of the traffic.`;
      } finally {
        this.#progress.prefix = "";
      }
    });
  }

  /**
   * Makes sure that the release is still staged on this host.
   * @returns what its agent knows of the canary's visitors
   * @throws CutoverError canary_failed, visitors_failed, with what the agent saw
   */
  async assertStaged(signal: AbortSignal): Promise<DeploymentView["canary"]> {
    const deployment = this.#open.staged;
    if (deployment === undefined) return undefined;
    return this.#recorded(signal, async () => {
      const view = await this.#app.deployment(deployment, signal);
      if (view.outcome === "staged") return view.canary;
      // The host itself has taken the canary back.
      delete this.report.note;
      this.#open.staged = undefined;
      throw endedBadly(view);
    });
  }

  /** Fresh instances of a release, or of the live one. */
  redeploy(release: string | undefined, signal: AbortSignal): Promise<void> {
    return this.#move(signal, { kind: "redeploy", release }, () => this.#app.redeploy(release, signal));
  }

  rollback(signal: AbortSignal): Promise<void> {
    return this.#move(signal, { kind: "rollback", release: undefined }, () => this.#app.rollback(signal));
  }

  #move(signal: AbortSignal, unanswered: Unanswered, call: () => Promise<Begun>): Promise<void> {
    return this.#recorded(signal, async () => {
      await this.#toSuccess(await this.#begun(signal, unanswered, call), signal);
      this.report.outcome = "succeeded";
    });
  }

  /**
   * Undoes what this job did here: aborts what has not cut over, and takes back what has. A failure of that is only a note:
   * the job has failed already.
   * @param revert undefined if there is no time to take back a cutover
   */
  async undo(abort: AbortSignal, revert?: AbortSignal): Promise<void> {
    this.#lease.end();
    if (!this.#cutOver && !this.#open.none) await this.#abort(abort);
    if (!this.#cutOver || revert === undefined) return;
    const parts = { app: this.#app, log: this.#log, progress: this.#progress, report: this.report };
    this.#cutOver = !(await goBack({ ...parts, open: this.#open, finished: this.#finished, signal: revert }));
  }

  async #abort(signal: AbortSignal): Promise<void> {
    switch (await this.#open.abort(signal)) {
      case "undone":
        delete this.report.note;
        if (this.report.failure !== undefined) return;
        this.report.outcome = "aborted";
        this.#log.line("aborted; the previous release goes on serving");
        return;
      case "cut over":
        this.#hasCutOver();
        this.report.note = this.#traffic;
        return;
      case "shifted":
        if (this.report.failure === undefined) this.report.outcome = "staged";
        this.report.note = `${this.report.release} has a part of the traffic.`;
        return;
      case "unknown":
    }
  }

  async #begun(signal: AbortSignal, unanswered: Unanswered, call: () => Promise<Begun>): Promise<string> {
    return this.#accepted(await this.#open.begin(signal, unanswered, call));
  }

  #accepted({ deployment, release }: Accepted): string {
    this.#open.running = deployment;
    this.report.release = release;
    return deployment;
  }

  async #toSuccess(deployment: string, signal: AbortSignal, onState?: (state: ReportedState) => void) {
    const view = await this.#follow(deployment, signal, onState);
    if (view.outcome !== "succeeded") throw endedBadly(view);
  }

  async #follow(deployment: string, signal: AbortSignal, onState?: (state: ReportedState) => void) {
    const view = await this.#progress.follow(deployment, signal, onState);
    this.#open.running = undefined;
    return view;
  }

  /** Records a failure as this host's own, unless the job was stopped from outside. */
  async #recorded<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.report.outcome === "not_started") this.report.outcome = "unknown";
    try {
      return await work();
    } catch (thrown) {
      this.#progress.flush();
      this.#fail(signal, thrown);
      throw thrown;
    }
  }

  #fail(signal: AbortSignal, thrown: unknown): void {
    // What stopped the job is not this host's failure.
    if (signal.aborted && thrown === signal.reason) return;
    const failure = asCutoverError(thrown, "runner");
    this.report.outcome = failure.code === "aborted" ? "aborted" : "failed";
    this.report.failure = failure;
  }
}
