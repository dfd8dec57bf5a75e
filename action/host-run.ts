import type { Operation } from "../shared/audience.ts";
import type { BodyOf, PathNames } from "../shared/call.ts";
import type { ReportedState } from "../shared/deployment-states.ts";
import { asCutoverError, CutoverError, type ErrorCode } from "../shared/errors.ts";
import { fromProblem } from "../shared/problem.ts";
import { calls, type DeploymentView } from "../shared/protocol.ts";
import type { AgentClient, CommandCall } from "./agent-client.ts";
import type { Bundle } from "./bundle.ts";
import { HostProgress } from "./host-progress.ts";
import { HostUpload, type HostUploadParts, type SendOptions } from "./host-upload.ts";
import type { HostReport } from "./job-report.ts";

export interface HostParts extends HostUploadParts {
  now(): number;
}

export interface StageOptions extends SendOptions {
  onState?(state: ReportedState): void;
}

/** An activation has two ends: the traffic has moved, and the old instances are gone. */
export interface Activation {
  finished: Promise<void>;
}

/** Going back, or again after a lost answer, may have to wait for this job's own deployment to drain. */
const ownDeploymentMs = 120_000;

/** One host's way through the job; what happens is written into its report. */
export class HostRun {
  readonly report: HostReport;
  readonly client: AgentClient;
  /** Its way to the bundle. */
  readonly upload: HostUpload;
  readonly #parts: HostParts;
  readonly #progress: HostProgress;
  /** The deployment that an abort would undo. */
  #deployment: string | undefined;
  /** The one that left the release staged: its end, unlike an activation's, still leaves something to undo. */
  #staged: string | undefined;
  /** The release of an upload whose answer has not come: the host may have a deployment of it. */
  #unanswered: string | undefined;
  #lease: NodeJS.Timeout | undefined;
  #finished: Promise<unknown> = Promise.resolve();

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.client = parts.client;
    this.upload = new HostUpload(parts);
    this.report = { host: parts.client.host, outcome: "not_started", phases: [] };
    this.#progress = new HostProgress(parts.client, parts.log, this.report);
  }

  /** Makes sure that an agent is there before anything is done that takes time. */
  async check(signal: AbortSignal): Promise<void> {
    try {
      await this.client.check(signal);
    } catch (thrown) {
      this.#fail(signal, thrown);
      throw thrown;
    }
  }

  /** Makes the release ready and healthy, without traffic. */
  async stage(bundle: Bundle, { releaseCommand, leaseMs, signal, onState }: StageOptions): Promise<void> {
    await this.#recorded(signal, async () => {
      const { now } = this.#parts;
      this.report.release = bundle.release;
      this.#progress.begin("upload");
      const start = now();
      this.#unanswered = bundle.release;
      const upload = this.upload.send(bundle, { releaseCommand, leaseMs, signal });
      const { deployment } = await upload.catch((thrown: unknown) => {
        // A refusal is an answer too; only where none came may something be left on the host.
        if (!signal.aborted && !isLost(thrown)) this.#unanswered = undefined;
        throw thrown;
      });
      this.#unanswered = undefined;
      this.#deployment = deployment;
      this.#progress.phase("upload", start, now() - start);
      const view = await this.#follow(deployment, signal, onState);
      if (view.outcome !== "staged") throw endedBadly(view);
      this.#staged = deployment;
      this.report.outcome = "staged";
      this.#keepLease(deployment, leaseMs, signal);
    });
  }

  /** While other hosts still stage, this one must not take another deployment. */
  #keepLease(deployment: string, leaseMs: number, signal: AbortSignal): void {
    if (leaseMs === 0) return;
    const renew = () => {
      // An agent that does not answer now is asked again; one that never does fails the activation.
      this.client.deployment(deployment, signal).catch(() => undefined);
    };
    this.#lease = setInterval(renew, leaseMs / 4).unref();
  }

  /** Resolves when the traffic has moved. @throws CutoverError when it has not */
  async activate(release: string, signal: AbortSignal): Promise<Activation> {
    this.report.release = release;
    clearInterval(this.#lease);
    const { deployment } = await this.#recorded(signal, () =>
      this.#command(calls.activate, { name: "activate", release }, signal, {
        names: { app: this.#parts.app, release },
        body: { weight: 100 },
        repeatable: true,
        waitMs: Math.max(this.#parts.waitMs, ownDeploymentMs),
      }),
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
        const { deployment } = await this.#command(calls.activate, { name: "activate", release }, signal, {
          names: { app: this.#parts.app, release },
          body: { weight },
          repeatable: true,
        });
        await this.#toSuccess(deployment, signal);
        this.report.outcome = "staged";
        this.report.note = `It has ${weight} % of the traffic.`;
      } finally {
        this.#progress.prefix = "";
      }
    });
  }

  /** Makes sure that what this host has staged still is. @throws CutoverError canary_failed, with what the agent saw */
  async assertStaged(signal: AbortSignal): Promise<void> {
    const deployment = this.#staged;
    if (deployment === undefined) return;
    await this.#recorded(signal, async () => {
      const view = await this.client.deployment(deployment, signal);
      if (view.outcome !== "staged") throw endedBadly(view);
    });
  }

  /** Fresh instances of a release, or of the live one. */
  async redeploy(release: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      const operation: Operation = { name: "redeploy", release: release ?? "live" };
      const { deployment } = await this.#command(calls.redeploy, operation, signal, {
        names: { app: this.#parts.app },
        body: release === undefined ? {} : { release },
      });
      await this.#toSuccess(deployment, signal);
      this.report.outcome = "succeeded";
    });
  }

  async rollback(signal: AbortSignal): Promise<void> {
    await this.#recorded(signal, async () => {
      const { deployment } = await this.#command(calls.rollback, { name: "rollback" }, signal, {
        names: { app: this.#parts.app },
        body: {},
      });
      await this.#toSuccess(deployment, signal);
      this.report.outcome = "succeeded";
    });
  }

  /** Takes back an activation of this job: a failure of that is a note, the job's failure is another host's. */
  async goBack(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const { release } = this.report;
    log.line("goes back to the release before");
    try {
      // The agent does one deployment of an app at a time: this waits for the drain of the job's own, and ends its watch.
      const { deployment } = await this.#command(calls.rollback, { name: "rollback" }, signal, {
        names: { app: this.#parts.app },
        body: release === undefined ? {} : { from: release },
        waitMs: ownDeploymentMs,
      });
      await this.#finished;
      this.#progress.prefix = "go back: ";
      await this.#toSuccess(deployment, signal);
      this.report.outcome = "rolled_back";
    } catch (thrown) {
      // Its own watch was faster.
      if (thrown instanceof CutoverError && thrown.code === "not_live") return await this.#ended();
      const reason = thrown instanceof CutoverError ? thrown.message : String(thrown);
      this.report.note = `${release} has the traffic: going back failed. ${reason}`;
      if (release !== undefined) this.report.release = release;
      log.line(this.report.note);
    }
  }

  async #ended(): Promise<void> {
    await this.#finished;
    this.#parts.log.line("has gone back by itself");
  }

  /** Undoes what this host has begun and not cut over; nothing where there is nothing to undo. */
  async abort(signal: AbortSignal): Promise<void> {
    const { client, log } = this.#parts;
    clearInterval(this.#lease);
    const failed = this.report.outcome === "failed";
    const unanswered = await this.#findUnanswered(signal);
    // Undoing an activation leaves the release staged, so that goes afterwards.
    for (const deployment of new Set([unanswered, this.#deployment, this.#staged])) {
      if (deployment === undefined) continue;
      try {
        await client.abort(deployment, () => this.#token({ name: "abort", deployment }), signal);
        if (!failed) this.report.outcome = "aborted";
      } catch (thrown) {
        if (failed || (thrown instanceof CutoverError && isOver(thrown.code))) continue;
        this.report.note = `It could not be aborted: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
        log.line(this.report.note);
      }
    }
    if (this.report.outcome === "aborted") log.line("aborted; the release before goes on serving");
  }

  /**
   * The deployment of an upload that got no answer. Where the host has none, the lost connection has undone it, or it
   * never began.
   */
  async #findUnanswered(signal: AbortSignal): Promise<string | undefined> {
    if (this.#unanswered === undefined) return undefined;
    const { app, client, log } = this.#parts;
    try {
      const { deployment } = await client.app(app, () => this.#token({ name: "read" }), signal);
      if (deployment?.release === this.#unanswered && isOpen(deployment)) return deployment.id;
      if (this.report.outcome === "unknown") this.report.outcome = "aborted";
    } catch (thrown) {
      this.report.note = `Whether it has the release is not known: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      log.line(this.report.note);
    }
    return undefined;
  }

  /** Whether an abort would find something. */
  get undecided(): boolean {
    const { outcome } = this.report;
    return (
      (this.#deployment ?? this.#staged ?? this.#unanswered) !== undefined &&
      outcome !== "succeeded" &&
      outcome !== "rolled_back"
    );
  }

  async #command<C extends CommandCall>(
    call: C,
    operation: Operation,
    signal: AbortSignal,
    options: { names: PathNames<C>; body: BodyOf<C>; repeatable?: boolean; waitMs?: number },
  ) {
    const { client, waitMs } = this.#parts;
    const accepted = await client.command({
      call,
      names: options.names,
      body: options.body,
      waitMs: options.waitMs ?? waitMs,
      repeatable: options.repeatable ?? false,
      token: () => this.#token(operation),
      signal,
    });
    this.#deployment = accepted.deployment;
    this.report.release = accepted.release;
    return accepted;
  }

  #token(operation: Operation): Promise<string> {
    const { tokens, app, client } = this.#parts;
    return tokens.token({ host: client.host, app, operation });
  }

  async #toSuccess(deployment: string, signal: AbortSignal, onState?: (state: ReportedState) => void) {
    const view = await this.#follow(deployment, signal, onState);
    if (view.outcome !== "succeeded") throw endedBadly(view);
  }

  async #follow(deployment: string, signal: AbortSignal, onState?: (state: ReportedState) => void) {
    const view = await this.#progress.follow(deployment, signal, onState);
    if (view.outcome !== "staged") this.#deployment = undefined;
    return view;
  }

  /** A failure is this host's own unless the job was stopped from outside. */
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

function isOpen({ outcome }: DeploymentView): boolean {
  return outcome === "running" || outcome === "staged";
}

/** The deployment has ended by itself, or its traffic has moved: nothing is left to undo. */
function isOver(code: ErrorCode): boolean {
  return code === "already_cut_over" || code === "deployment_not_found";
}
