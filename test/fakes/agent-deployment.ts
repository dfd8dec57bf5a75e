import { EventEmitter } from "node:events";
import { newDeploymentId } from "../../agent/deploy/deployment.ts";
import type { ReportedState } from "../../shared/deployment-states.ts";
import type { DeploymentEvent, DeploymentKind, DeploymentView, Failure } from "../../shared/protocol.ts";

/** The states that a deployment of each kind goes through. */
const paths: Record<DeploymentKind, ReportedState[]> = {
  deploy: ["received", "verified", "unpacked", "built", "released", "started", "healthy"],
  activate: ["healthy", "cut_over", "drained", "done"],
  redeploy: ["started", "healthy", "cut_over", "drained", "done"],
  rollback: ["healthy", "cut_over", "drained", "done"],
};

/** How deployments end that do not simply succeed. */
export interface DeploymentPlan {
  /** A deployment of this kind ends as failed instead of reaching this state. */
  failAt?: { kind: DeploymentKind; state: ReportedState; failure: Failure };
  /** A deployment of this kind stays before this state until it is aborted. */
  holdAt?: { kind: DeploymentKind; state: ReportedState };
  /** What was live before; it says nothing of that unless given. */
  before?: string | null;
  /** Requests that were cut. */
  cut?: number;
  /** Printed by each deployment before its third state. */
  output?: string[];
}

/** A deployment of a fake agent: its events are real, and nothing is deployed. */
export class FakeDeployment {
  readonly id = newDeploymentId();
  readonly events: DeploymentEvent[] = [];
  readonly changed = new EventEmitter().setMaxListeners(0);
  readonly kind: DeploymentKind;
  readonly release: string;
  state: ReportedState = "received";
  outcome: DeploymentView["outcome"] = "running";
  failure: Failure | undefined;
  #plan: DeploymentPlan = {};
  canary: DeploymentView["canary"];

  constructor(kind: DeploymentKind, release: string) {
    this.kind = kind;
    this.release = release;
  }

  add(event: object): void {
    const base = { id: this.events.length + 1, at: new Date().toISOString() };
    this.events.push({ ...base, ...event } as DeploymentEvent);
    this.changed.emit("change");
  }

  reach(state: ReportedState): void {
    this.state = state;
    this.add({ type: "state", state, took: 1 });
  }

  end(outcome: DeploymentView["outcome"], failure?: Failure): void {
    this.outcome = outcome;
    this.failure = failure;
    this.add({ type: "end", deployment: this.view });
  }

  get view(): DeploymentView {
    const { id, kind, release, state, outcome, failure } = this;
    const facts = { id, app: "shop", kind, release, state, outcome, by: { subject: "test" }, phases: [] };
    const { before, cut } = this.#plan;
    const said = { ...(before !== undefined && { before }), ...(cut !== undefined && { cut }) };
    const more = { ...(failure && { failure }), ...(this.canary && { canary: this.canary }) };
    return { ...facts, ...said, started: new Date().toISOString(), ...more };
  }

  /** Goes through its states, as far as the options let it. @param note takes what happened */
  async play(plan: DeploymentPlan, note: (what: string) => void): Promise<void> {
    const { failAt, holdAt, output = [] } = plan;
    const { kind } = this;
    this.#plan = plan;
    for (const [index, state] of paths[kind].entries()) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (this.outcome !== "running") return;
      if (index === 2) for (const line of output) this.add({ type: "output", source: "pip", line });
      if (holdAt?.kind === kind && holdAt.state === state) return;
      if (failAt?.kind === kind && failAt.state === state) {
        note(`${kind} failed`);
        return this.end("failed", failAt.failure);
      }
      this.reach(state);
      note(`${kind} ${state}`);
    }
    this.end(kind === "deploy" ? "staged" : "succeeded");
  }
}
