import type { ReportedState } from "../../shared/deployment-states.ts";
import { asCutoverError, CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { fromProblem } from "../../shared/problem.ts";
import type { Accepted, DeploymentView } from "../../shared/protocol.ts";
import type { Bundle } from "../bundle/bundle.ts";
import type { HostReport } from "../report/job-report.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";
import { HostProgress } from "./host-progress.ts";
import { HostUpload, type SendOptions } from "./host-upload.ts";
import { OpenDeployments } from "./open-deployments.ts";

export interface HostDeployParts {
  app: HostApp;
  log: HostLog;
  /** Milliseconds since the epoch. */
  now(): number;
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
  readonly #progress: HostProgress;
  readonly #open: OpenDeployments;
  #lease: NodeJS.Timeout | undefined;
  /** Resolves when the activation has ended, also if it failed. */
  #finished: Promise<unknown> = Promise.resolve();

  constructor({ app, log, now }: HostDeployParts) {
    this.#app = app;
    this.#log = log;
    this.#now = now;
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
    this.#open.unanswered = bundle.release;
    const { deployment } = await this.upload
      .send(bundle, { releaseCommand, leaseMs, signal })
      .catch((thrown: unknown) => {
        // A refusal is an answer too. Something may be left on the host only if there was no answer.
        if (!signal.aborted && !isLost(thrown)) this.#open.unanswered = undefined;
        throw thrown;
      });
    this.#open.unanswered = undefined;
    this.#open.running = deployment;
    this.#progress.phase("upload", start, this.#now() - start);
    return deployment;
  }

  /** While other hosts still stage, this one must not take another deployment. */
  #keepLease(deployment: string, leaseMs: number, signal: AbortSignal): void {
    if (leaseMs === 0) return;
    const renew = () => {
      // If the agent does not answer now, the next renewal asks again; if it never does, the activation fails.
      this.#app.deployment(deployment, signal).catch(() => undefined);
    };
    this.#lease = setInterval(renew, leaseMs / 4).unref();
  }

  /** Resolves when the traffic has moved. @throws CutoverError when it has not */
  async activate(release: string, signal: AbortSignal): Promise<Activation> {
    this.report.release = release;
    clearInterval(this.#lease);
    const deployment = await this.#recorded(signal, async () =>
      this.#begun(await this.#app.activate(release, 100, signal, ownDeploymentMs)),
    );
    const moved = Promise.withResolvers<void>();
    const finished = this.#recorded(signal, () =>
      this.#toSuccess(deployment, signal, (state) => {
        if (state === "cut_over") {
          this.report.outcome = "succeeded";
          delete this.report.note;
          moved.resolve();
        }
      }),
    );
    this.#finished = finished.then(moved.resolve, moved.reject);
    await moved.promise;
    return { finished };
  }

  /** Gives the staged release a part of the traffic, in percent. It stays staged, so an abort takes it back. */
  async shift(release: string, weight: number, signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      this.#progress.prefix = `${weight} %: `;
      try {
        await this.#toSuccess(this.#begun(await this.#app.activate(release, weight, signal)), signal);
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
      if (view.outcome !== "staged") throw endedBadly(view);
    });
  }

  /** Fresh instances of a release, or of the live one. */
  async redeploy(release: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      await this.#toSuccess(this.#begun(await this.#app.redeploy(release, signal)), signal);
      this.report.outcome = "succeeded";
    });
  }

  async rollback(signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      await this.#toSuccess(this.#begun(await this.#app.rollback(signal)), signal);
      this.report.outcome = "succeeded";
    });
  }

  /** Takes back an activation of this job. A failure here is only a note: the job fails because of another host. */
  async revert(signal: AbortSignal): Promise<void> {
    const { release } = this.report;
    this.#log.line("goes back to the previous release");
    try {
      // The agent does one deployment of an app at a time. So this waits until the job's own has drained, and ends its
      // watch.
      const from = release === undefined ? {} : { from: release };
      const deployment = this.#begun(await this.#app.rollback(signal, from, ownDeploymentMs));
      await this.#finished;
      this.#progress.prefix = "go back: ";
      await this.#toSuccess(deployment, signal);
      this.report.outcome = "rolled_back";
    } catch (thrown) {
      // The host has gone back already, because of its own watch.
      if (thrown instanceof CutoverError && thrown.code === "not_live") return await this.#revertedItself();
      const reason = thrown instanceof CutoverError ? thrown.message : String(thrown);
      this.report.note = `${release} has the traffic: going back failed. ${reason}`;
      if (release !== undefined) this.report.release = release;
      this.#log.line(this.report.note);
    }
  }

  async #revertedItself(): Promise<void> {
    await this.#finished;
    this.#log.line("went back by itself");
  }

  /** Undoes what this host has begun and not cut over, if there is anything. */
  async abort(signal: AbortSignal): Promise<void> {
    clearInterval(this.#lease);
    await this.#open.abort(signal);
  }

  /** Whether an abort would find something. */
  get undecided(): boolean {
    const { outcome } = this.report;
    return !this.#open.none && outcome !== "succeeded" && outcome !== "rolled_back";
  }

  #begun({ deployment, release }: Accepted): string {
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
    if (view.outcome !== "staged") this.#open.running = undefined;
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
    if (signal.aborted) return;
    const failure = asCutoverError(thrown);
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
