import type { ReportedState } from "../../shared/deployment-states.ts";
import { asCutoverError, CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { fromProblem } from "../../shared/problem.ts";
import type { Accepted, DeploymentView } from "../../shared/protocol.ts";
import type { Bundle } from "../bundle/bundle.ts";
import type { Begun } from "../client/agent-client.ts";
import { UnsureError } from "../client/agent-errors.ts";
import type { HostReport } from "../report/job-report.ts";
import { realTime, type Time } from "../runner/time.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";
import { HostProgress } from "./host-progress.ts";
import { HostUpload, type SendOptions } from "./host-upload.ts";
import { hasTakenBack, OpenDeployments, type Unanswered } from "./open-deployments.ts";

export interface HostDeployParts {
  app: HostApp;
  log: HostLog;
  /** Milliseconds since the epoch. */
  now(): number;
  time?: Time;
}

export interface StageOptions extends SendOptions {
  onState?(state: ReportedState): void;
}

/** An activation has two ends: the traffic has moved, and the old instances are gone. */
export interface Activation {
  finished: Promise<void>;
}

/**
 * A revert, or an activation sent again after a lost answer, may have to wait until this job's own deployment has
 * drained.
 */
const ownDeploymentMs = 120_000;

/** What the job does on one host, step by step. Each step writes what happened into the host's report. */
export class HostDeploy {
  readonly report: HostReport;
  /** How it gets the bundle. */
  readonly upload: HostUpload;
  readonly #app: HostApp;
  readonly #log: HostLog;
  readonly #now: () => number;
  readonly #time: Time;
  readonly #progress: HostProgress;
  readonly #open: OpenDeployments;
  #endLease = () => {};
  /** The job's release has all of the traffic here. */
  #cutOver = false;
  /** Resolves when the activation has ended, also if it failed. */
  #finished: Promise<unknown> = Promise.resolve();

  constructor({ app, log, now, time = realTime }: HostDeployParts) {
    this.#app = app;
    this.#log = log;
    this.#now = now;
    this.#time = time;
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
      this.#keepLease(deployment, leaseMs, signal);
    });
  }

  async #send(bundle: Bundle, { releaseCommand, leaseMs, signal }: SendOptions): Promise<string> {
    this.#progress.begin("upload");
    const start = this.#now();
    const deployment = await this.#begun(signal, { kind: "deploy", release: bundle.release }, () =>
      this.upload.send(bundle, { releaseCommand, leaseMs, signal }),
    );
    this.#progress.phase("upload", start, this.#now() - start);
    return deployment;
  }

  /** While other hosts still stage, this one must not take another deployment. */
  #keepLease(deployment: string, leaseMs: number, signal: AbortSignal): void {
    if (leaseMs === 0) return;
    let stop = () => {};
    const renew = () => {
      // If the agent does not answer now, the next renewal asks again; if it never does, the activation fails.
      this.#app.deployment(deployment, signal).catch(() => undefined);
      again();
    };
    const again = () => {
      stop = this.#time.after(leaseMs / 4, renew, false);
    };
    again();
    this.#endLease = () => stop();
  }

  /** Resolves when the traffic has moved. @throws CutoverError when it has not */
  async activate(release: string, signal: AbortSignal): Promise<Activation> {
    this.report.release = release;
    this.#endLease();
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
   * Makes sure that the release is still staged on this host. @throws CutoverError canary_failed, with what the agent
   * saw
   */
  async assertStaged(signal: AbortSignal): Promise<void> {
    const deployment = this.#open.staged;
    if (deployment === undefined) return;
    await this.#recorded(signal, async () => {
      const view = await this.#app.deployment(deployment, signal);
      if (view.outcome === "staged") return;
      // The host itself has taken the canary back.
      delete this.report.note;
      this.#open.staged = undefined;
      throw endedBadly(view);
    });
  }

  /** Fresh instances of a release, or of the live one. */
  async redeploy(release: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      const call = () => this.#app.redeploy(release, signal);
      await this.#toSuccess(await this.#begun(signal, { kind: "redeploy", release }, call), signal);
      this.report.outcome = "succeeded";
    });
  }

  async rollback(signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      const call = () => this.#app.rollback(signal);
      await this.#toSuccess(await this.#begun(signal, { kind: "rollback", release: undefined }, call), signal);
      this.report.outcome = "succeeded";
    });
  }

  /**
   * Undoes what this job did here: aborts what has not cut over, and takes back what has. A failure of that is only a note:
   * the job has failed already.
   * @param revert undefined if there is no time to take back a cutover
   */
  async undo(abort: AbortSignal, revert?: AbortSignal): Promise<void> {
    this.#endLease();
    if (!this.#cutOver && !this.#open.none) await this.#abort(abort);
    if (this.#cutOver && revert !== undefined) await this.#revert(revert);
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
        return;
    }
  }

  async #revert(signal: AbortSignal): Promise<void> {
    const { release } = this.report;
    this.#log.line("goes back to the previous release");
    const from = release === undefined ? {} : { from: release };
    let deployment: string | undefined;
    try {
      // The agent does one deployment of an app at a time. So this waits until the job's own has drained, and ends its
      // watch.
      deployment = this.#accepted(await this.#app.rollback(signal, from, ownDeploymentMs));
      await this.#finished;
      this.#progress.prefix = "go back: ";
      await this.#toSuccess(deployment, signal);
      this.#wentBack();
    } catch (thrown) {
      // The host has gone back already, because of its own watch or of an earlier attempt.
      if (thrown instanceof CutoverError && thrown.code === "not_live") return await this.#alreadyBack(signal);
      const reason = thrown instanceof CutoverError ? thrown.message : String(thrown);
      const begun = signal.aborted || thrown instanceof UnsureError || isLost(thrown);
      this.report.note = begun
        ? `It is not known whether it went back from ${release}. ${reason}`
        : `${release} has the traffic: going back failed. ${reason}`;
      if (begun && this.report.failure === undefined) this.report.outcome = "unknown";
      if (release !== undefined) this.report.release = release;
      this.#log.line(this.report.note);
    }
  }

  #wentBack(): void {
    this.#cutOver = false;
    delete this.report.note;
    if (this.report.failure === undefined) this.report.outcome = "rolled_back";
    else this.report.note = "It went back to the previous release.";
  }

  async #alreadyBack(signal: AbortSignal): Promise<void> {
    await this.#finished;
    this.#log.line("had gone back already");
    const view = await this.#app.view(signal).catch(() => undefined);
    if (view?.live !== undefined && view.live !== null) this.report.release = releaseOfRun(view.live);
    // A host whose own watch failed has said so.
    const isSaid = this.report.failure !== undefined && this.report.note === undefined;
    if (isSaid) this.#cutOver = false;
    else this.#wentBack();
  }

  /** Sends a call that begins a deployment. As long as there is no answer, there may be one or not. */
  async #begun(signal: AbortSignal, unanswered: Unanswered, call: () => Promise<Begun>): Promise<string> {
    this.#open.unanswered = unanswered;
    const accepted = await call().catch((thrown: unknown) => {
      // A refusal is an answer too.
      if (!signal.aborted && !(thrown instanceof UnsureError)) this.#open.unanswered = undefined;
      throw thrown;
    });
    this.#open.unanswered = undefined;
    this.#open.repeated = unanswered.kind === "activate" && accepted.repeated;
    return this.#accepted(accepted);
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

function endedBadly(view: DeploymentView): CutoverError {
  if (view.failure !== undefined) return fromProblem(view.failure);
  const code: ErrorCode = view.outcome === "aborted" ? "aborted" : "internal";
  return new CutoverError(code, `The deployment ended as ${view.outcome}, after the state ${view.state}.`, {
    fix: "Look at the agent's log on the host.",
  });
}

function isLost(thrown: unknown): boolean {
  return thrown instanceof CutoverError && thrown.code === "agent_unreachable";
}
