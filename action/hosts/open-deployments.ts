import { CutoverError, type ErrorCode } from "../../shared/errors.ts";
import type { DeploymentView } from "../../shared/protocol.ts";
import type { HostReport } from "../report/job-report.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";

/** What this job has begun on one host and not finished: an abort undoes it. */
export class OpenDeployments {
  /** The deployment that runs. */
  running: string | undefined;
  /**
   * The one that left the release staged. It has ended, but unlike an activation that has ended it can still be undone.
   */
  staged: string | undefined;
  /** The release of an upload without an answer so far: the host may have a deployment of it. */
  unanswered: string | undefined;
  readonly #app: HostApp;
  readonly #log: HostLog;
  readonly #report: HostReport;

  constructor(app: HostApp, log: HostLog, report: HostReport) {
    this.#app = app;
    this.#log = log;
    this.#report = report;
  }

  get none(): boolean {
    return (this.running ?? this.staged ?? this.unanswered) === undefined;
  }

  /** Undoes all of them, if there are any. What cannot be undone becomes a note in the report. */
  async abort(signal: AbortSignal): Promise<void> {
    const failed = this.#report.outcome === "failed";
    const unanswered = await this.#findUnanswered(signal);
    // Undoing an activation leaves the release staged, so the staging is undone after it.
    for (const deployment of new Set([unanswered, this.running, this.staged])) {
      if (deployment === undefined) continue;
      try {
        await this.#app.abort(deployment, signal);
        if (!failed) this.#report.outcome = "aborted";
      } catch (thrown) {
        if (failed || (thrown instanceof CutoverError && isOver(thrown.code))) continue;
        this.#note(`It could not be aborted: ${messageOf(thrown)}`);
      }
    }
    if (this.#report.outcome === "aborted") this.#log.line("aborted; the previous release goes on serving");
  }

  /**
   * The deployment of an upload that got no answer. If the host has none, the lost connection has undone it, or it
   * never began.
   */
  async #findUnanswered(signal: AbortSignal): Promise<string | undefined> {
    if (this.unanswered === undefined) return undefined;
    try {
      const { deployment } = await this.#app.view(signal);
      if (deployment?.release === this.unanswered && isOpen(deployment)) return deployment.id;
      if (this.#report.outcome === "unknown") this.#report.outcome = "aborted";
    } catch (thrown) {
      this.#note(`It is not known whether the host has the release: ${messageOf(thrown)}`);
    }
    return undefined;
  }

  #note(note: string): void {
    this.#report.note = note;
    this.#log.line(note);
  }
}

function isOpen({ outcome }: DeploymentView): boolean {
  return outcome === "running" || outcome === "staged";
}

/** The deployment has ended by itself, or its traffic has moved: nothing is left to undo. */
function isOver(code: ErrorCode): boolean {
  return code === "already_cut_over" || code === "deployment_not_found";
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
