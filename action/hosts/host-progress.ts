import { type ReportedState, reportedAfter } from "../../shared/deployment-states.ts";
import { CutoverError } from "../../shared/errors.ts";
import { type DeploymentEvent, type DeploymentView, requestsWords } from "../../shared/protocol.ts";
import { type HostReport, noteBefore, type Phase } from "../report/job-report.ts";
import type { HostApp } from "./host-app.ts";
import { activities, type HostLog } from "./host-log.ts";

/** Writes what one host's deployments do into the log and the report, while it happens. */
export class HostProgress {
  readonly #app: HostApp;
  readonly #log: HostLog;
  readonly #report: HostReport;
  #activity = "deploy";
  #prefix = "";

  constructor(app: HostApp, log: HostLog, report: HostReport) {
    this.#app = app;
    this.#log = log;
    this.#report = report;
  }

  /** Says which activity the next lines of output belong to. */
  begin(activity: string): void {
    this.#activity = activity;
  }

  /** Put in front of the names of phases, such as `25 %: `, until it is empty again. */
  set prefix(prefix: string) {
    this.#prefix = prefix;
  }

  /** Prints the output that has not been printed yet. */
  flush(): void {
    this.#log.flush(this.#activity);
  }

  phase(activity: string, start: number, took: number, note?: string): void {
    const name = `${this.#prefix}${activity}`;
    this.#report.phases.push({ name, start, took });
    this.#log.phase(name, took, note);
  }

  /** Shows a deployment's events until it has ended. */
  async follow(
    deployment: string,
    signal: AbortSignal,
    onState?: (state: ReportedState) => void,
  ): Promise<DeploymentView> {
    this.#activity = "deploy";
    for await (const event of this.#app.events(deployment, signal)) {
      if (event.type === "end") {
        noteBefore(this.#report, event.deployment.before);
        if (event.deployment.cut !== undefined) this.#report.cut = event.deployment.cut;
        if (event.deployment.requests !== undefined) this.#report.visitors = requestsWords(event.deployment.requests);
        return event.deployment;
      }
      this.#show(event);
      if (event.type === "state") onState?.(event.state);
    }
    throw new CutoverError("internal", `The events of ${this.#report.host} ended without their last event.`);
  }

  /** An activation asks once more what was healthy when it was staged. */
  #nameOf(state: ReportedState): string {
    const again = state === "healthy" && this.#prefix === "" && this.#report.phases.some(isHealthCheck);
    return again ? "health check before the cutover" : activities[state];
  }

  #show(event: Exclude<DeploymentEvent, { type: "end" }>): void {
    switch (event.type) {
      case "output":
        this.#log.output(this.#activity, `${event.source} | ${event.line}`);
        return;
      case "notice":
        if (event.level === "warning") this.#log.warning(event.message);
        else this.#log.output(this.#activity, event.message);
        return;
      case "state":
        this.phase(this.#nameOf(event.state), Date.parse(event.at) - event.took, event.took, event.note);
        this.#activity = activityAfter(event.state);
    }
  }
}

function activityAfter(state: ReportedState): string {
  const next = reportedAfter(state);
  return next === undefined ? "finish" : activities[next];
}

function isHealthCheck({ name }: Phase): boolean {
  return name === activities.healthy;
}
