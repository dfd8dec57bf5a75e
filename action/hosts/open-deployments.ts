import { CutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { Accepted, DeploymentKind, DeploymentView } from "../../shared/protocol.ts";
import type { Begun } from "../client/agent-client.ts";
import { UnsureError } from "../client/agent-errors.ts";
import { type HostReport, noteBefore } from "../report/job-report.ts";
import { type Standing, standingOf } from "./deployment-end.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";

/** A call that began a deployment, or did not: there is no answer. */
export interface Unanswered {
  kind: DeploymentKind;
  /** undefined if the host decides which. */
  release: string | undefined;
}

/** What this job has begun on one host and not finished: an abort undoes it. */
export class OpenDeployments {
  /** The deployment that runs. */
  running: string | undefined;
  /**
   * The one that left the release staged. It has ended, but unlike an activation that has ended it can still be undone.
   */
  staged: string | undefined;
  /** The host may have a deployment of it. */
  unanswered: Unanswered | undefined;
  /** An earlier attempt of the activation had no answer, so it may have worked too. */
  #repeated = false;
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

  /** Sends a call that begins a deployment. As long as there is no answer, there may be one or not. */
  async begin(signal: AbortSignal, unanswered: Unanswered, call: () => Promise<Begun>): Promise<Accepted> {
    this.unanswered = unanswered;
    const begun = await call().catch((thrown: unknown) => {
      // A refusal is an answer too.
      if (!signal.aborted && !(thrown instanceof UnsureError)) this.unanswered = undefined;
      throw thrown;
    });
    this.unanswered = undefined;
    this.#repeated = unanswered.kind === "activate" && begun.repeated;
    this.running = begun.deployment;
    return begun;
  }

  /** Undoes all of them, and looks again if that does not tell the end. */
  async abort(signal: AbortSignal): Promise<Standing> {
    const standing = await this.#abortAll(signal);
    if (standing !== "undone" || !this.#repeated) return standing;
    try {
      const { live } = await this.#app.view(signal);
      return live !== null && releaseOfRun(live) === this.#report.release ? "cut over" : "undone";
    } catch (thrown) {
      return this.#unknown(`It is not known whether an earlier attempt has moved the traffic: ${messageOf(thrown)}`);
    }
  }

  /** Undoes all of them. What is not known after that becomes a note in the report. */
  async #abortAll(signal: AbortSignal): Promise<Standing> {
    const standings: Standing[] = [];
    if (this.unanswered !== undefined) standings.push(await this.#abortUnanswered(this.unanswered, signal));
    // Undoing an activation leaves the release staged, so the staging is undone after it.
    if (this.running !== undefined) standings.push(await this.#abort(this.running, signal));
    if (this.staged !== undefined && !standings.includes("cut over")) {
      const standing = await this.#abort(this.staged, signal);
      // What could be removed has no part of the traffic, whatever was not known before.
      if (standing === "undone") return "undone";
      standings.push(standing);
    }
    return (["cut over", "unknown", "shifted"] as const).find((each) => standings.includes(each)) ?? "undone";
  }

  async #abort(deployment: string, signal: AbortSignal): Promise<Standing> {
    try {
      const view = await this.#app.abort(deployment, signal);
      noteBefore(this.#report, view.before);
      return standingOf(view) ?? "undone";
    } catch (thrown) {
      const code = thrown instanceof CutoverError ? thrown.code : undefined;
      if (code === "deployment_not_found") return "undone";
      if (code === "already_cut_over") return this.#standing(deployment, signal);
      return this.#unknown(`It could not be aborted: ${messageOf(thrown)}`);
    }
  }

  /** Of a deployment that has ended by itself, or whose traffic has moved. */
  async #standing(deployment: string, signal: AbortSignal): Promise<Standing> {
    try {
      const standing = standingOf(await this.#app.deployment(deployment, signal));
      if (standing !== undefined) return standing;
      // What was staged is not staged any more: it is live, or somebody has removed it.
      const { live } = await this.#app.view(signal);
      return live !== null && releaseOfRun(live) === this.#report.release ? "cut over" : "undone";
    } catch (thrown) {
      return this.#unknown(`It is not known whether it has cut over: ${messageOf(thrown)}`);
    }
  }

  /**
   * The deployment of a call that got no answer. If the host has none of an upload, the lost connection has undone it, or
   * it never began.
   */
  async #abortUnanswered({ kind, release }: Unanswered, signal: AbortSignal): Promise<Standing> {
    try {
      const { deployment, live } = await this.#app.view(signal);
      const mine = release !== undefined && deployment?.release === release && deployment.kind === kind;
      if (deployment !== null && mine && isOpen(deployment)) return await this.#abort(deployment.id, signal);
      const standing = mine && deployment !== null ? standingOf(deployment) : undefined;
      if (standing !== undefined) return standing;
      const serving = live === null ? "nothing" : releaseOfRun(live);
      if (kind === "activate" && serving === release) return "cut over";
      if (kind === "deploy" || kind === "activate") return "undone";
      // A deployment that runs there may be somebody else's.
      const busy = deployment?.outcome === "running" ? `, and a ${deployment.kind} runs` : "";
      return this.#unknown(`It is not known whether the host got the call: ${serving} is live there${busy}.`);
    } catch (thrown) {
      return this.#unknown(`It is not known whether the host got the call: ${messageOf(thrown)}`);
    }
  }

  #unknown(note: string): Standing {
    // What was known before may have changed since.
    const before = this.#report.note === undefined ? "" : `${this.#report.note.replace(/^It has /, "It had ")} `;
    this.#report.note = `${before}${note}`;
    this.#log.line(note);
    return "unknown";
  }
}

function isOpen({ outcome }: DeploymentView): boolean {
  return outcome === "running" || outcome === "staged";
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
