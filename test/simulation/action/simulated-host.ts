import { type DeploymentState, isAtLeast, type ReportedState } from "../../../shared/deployment-states.ts";
import { CutoverError, type ErrorCode } from "../../../shared/errors.ts";
import type { DeploymentEvent, DeploymentKind, DeploymentView } from "../../../shared/protocol.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** How a host behaves in one history. */
export interface Behaviour {
  /** Milliseconds for each state of a deployment. */
  stateMs: number;
  /** A deployment of this kind fails instead of reaching this state. */
  fails?: { kind: DeploymentKind; state: ReportedState } | undefined;
  /** A release that fails its watch stays live: what was live before is not well either. */
  keepsWhatFails: boolean;
  /** What is staged fails as soon as it has this part of the traffic, or more. */
  canaryFailsAt?: number | undefined;
  /** Tokens that may not `read`. */
  mayNotRead: boolean;
  protocol: number;
  /** Somebody else's deployment runs until then. */
  busyUntilMs: number;
}

/** How long a call waits for the app. Its caller may leave meanwhile. */
export interface Wait {
  ms: number;
  caller: AbortSignal;
}

export const oldRelease = "20261120T090000Z-1111111";
export const olderRelease = "20261119T090000Z-0000000";

interface Deployment {
  id: string;
  kind: DeploymentKind;
  release: string;
  weight: number;
  state: ReportedState;
  outcome: DeploymentView["outcome"];
  failure: ErrorCode | undefined;
  unchanged: string | undefined;
  aborted: boolean;
  watchEnded: boolean;
  events: DeploymentEvent[];
}

const paths: Record<DeploymentKind, ReportedState[]> = {
  deploy: ["received", "verified", "unpacked", "built", "released", "started", "healthy"],
  activate: ["healthy", "cut_over", "drained", "retired", "done"],
  redeploy: ["started", "healthy", "cut_over", "drained", "done"],
  rollback: ["healthy", "cut_over", "drained", "done"],
};

/** An agent as the Action sees it: what it answers, and what is on its host. The real one is in agent/deploy. */
export class SimulatedHost {
  live: string = oldRelease;
  previous: string | undefined = olderRelease;
  staged: { deployment: Deployment; weight: number } | undefined;
  /** Calls that began a deployment. */
  begun = 0;
  readonly behaviour: Behaviour;
  readonly #time: VirtualTime;
  readonly #name: string;
  readonly #deployments = new Map<string, Deployment>();
  #running: Deployment | undefined;
  #lease: { id: string; ms: number; until: number } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(name: string, behaviour: Behaviour, time: VirtualTime) {
    this.#name = name;
    this.behaviour = behaviour;
    this.#time = time;
    if (behaviour.busyUntilMs > 0) time.after(behaviour.busyUntilMs, () => this.#change());
  }

  view(id: string): DeploymentView {
    const deployment = this.#known(id);
    if (this.#lease?.id === id) this.#renew();
    return viewOf(deployment);
  }

  appView() {
    if (this.behaviour.mayNotRead) throw refused("forbidden");
    const latest = [...this.#deployments.values()].at(-1);
    return {
      app: "shop",
      live: this.live,
      staged: this.staged?.deployment.release ?? null,
      warm: null,
      previous: this.previous ?? null,
      urls: [],
      instances: [],
      releases: [],
      deployment: latest === undefined ? null : viewOf(latest),
    };
  }

  async deploy(release: string, wait: Wait, leaseMs: number): Promise<Deployment> {
    const same = [...this.#deployments.values()].find(
      (each) => each.kind === "deploy" && each.release === release && isOpen(each),
    );
    if (same !== undefined) return same;
    await this.#free(wait, undefined);
    return this.#begin("deploy", release, 100, leaseMs);
  }

  async activate(release: string, weight: number, wait: Wait): Promise<Deployment> {
    const running = this.#running;
    if (running?.kind === "activate" && running.release === release && running.weight === weight) return running;
    await this.#free(wait, release);
    if (this.staged?.deployment.release !== release) {
      if (weight < 100) throw refused("canary_impossible");
      if (release !== this.live && release !== this.previous) throw refused("release_not_found");
    }
    return this.#begin("activate", release, weight, this.#lease?.ms ?? 0);
  }

  async redeploy(wait: Wait): Promise<Deployment> {
    await this.#free(wait, undefined);
    return this.#begin("redeploy", this.live, 100, 0);
  }

  async rollback(from: string | undefined, wait: Wait): Promise<Deployment> {
    if (this.#running !== undefined && wait.ms > 0) this.#running.watchEnded = true;
    this.#change();
    await this.#free(wait, undefined);
    if (from !== undefined && from !== this.live) throw refused("not_live");
    if (this.previous === undefined) throw refused("nothing_to_roll_back_to");
    return this.#begin("rollback", this.previous, 100, 0);
  }

  async abort(id: string): Promise<DeploymentView> {
    const deployment = this.#known(id);
    if (this.#running === deployment) {
      if (isAtLeast(deployment.state, "cut_over")) throw refused("already_cut_over");
      deployment.aborted = true;
      this.#change();
      while (this.#running === deployment) await this.#changed.promise;
      return viewOf(deployment);
    }
    if (this.staged?.deployment !== deployment) throw refused("already_cut_over");
    if (this.#running !== undefined) throw refused("deployment_in_progress");
    this.#unstage("aborted");
    return viewOf(deployment);
  }

  /** The events after one, then `heartbeat` whenever 15 s pass without any. */
  async *follow(id: string, after: number): AsyncGenerator<DeploymentEvent | "heartbeat"> {
    const deployment = this.#known(id);
    for (let next = after; ; ) {
      const event = deployment.events[next];
      if (event !== undefined) {
        next++;
        yield event;
        if (event.type === "end") return;
        continue;
      }
      const beat = Promise.withResolvers<"heartbeat">();
      const stop = this.#time.after(15_000, () => beat.resolve("heartbeat"));
      const changed = this.#changed.promise.then(() => undefined);
      if ((await Promise.race([changed, beat.promise])) === "heartbeat") yield "heartbeat";
      stop();
    }
  }

  #known(id: string): Deployment {
    const deployment = this.#deployments.get(id);
    if (deployment === undefined) throw refused("deployment_not_found");
    return deployment;
  }

  /** Waits until nothing else has the app. */
  async #free({ ms, caller }: Wait, forRelease: string | undefined): Promise<void> {
    const end = this.#time.elapsed() + ms;
    for (;;) {
      const now = this.#time.elapsed();
      const leased = this.#lease !== undefined && this.#lease.until > now;
      const ours = this.staged?.deployment.release === forRelease || forRelease === undefined;
      const busy = now < this.behaviour.busyUntilMs || this.#running !== undefined || (leased && !ours);
      if (caller.aborted) throw refused("aborted");
      if (!busy) return;
      if (now >= end) throw refused("deployment_in_progress");
      await Promise.race([this.#changed.promise, this.#time.sleep(end - now)]);
    }
  }

  #begin(kind: DeploymentKind, release: string, weight: number, leaseMs: number): Deployment {
    const id = Buffer.from(`${this.#name}-${this.#deployments.size}`.padEnd(16, "-").slice(0, 16)).toString(
      "base64url",
    );
    const parts = { aborted: false, watchEnded: false, failure: undefined, unchanged: undefined, events: [] };
    const deployment: Deployment = { id, kind, release, weight, state: "received", outcome: "running", ...parts };
    this.#deployments.set(id, deployment);
    this.#running = deployment;
    this.begun++;
    void this.#play(deployment, leaseMs);
    return deployment;
  }

  async #play(deployment: Deployment, leaseMs: number): Promise<void> {
    const { stateMs, fails } = this.behaviour;
    const { kind, weight, release } = deployment;
    if (kind === "activate" && weight < 100) return this.#shift(deployment);
    for (const state of paths[kind]) {
      await this.#pause(deployment, stateMs);
      if (deployment.aborted && !isAtLeast(deployment.state, "cut_over")) return this.#end(deployment, "aborted");
      if (fails?.kind === kind && fails.state === state) {
        const watched = isAtLeast(state, "drained") && kind === "activate";
        if (!watched) return this.#end(deployment, "failed", "health_failed");
        const back = !this.behaviour.keepsWhatFails && this.previous !== undefined;
        if (back) [this.live, this.previous] = [this.previous ?? this.live, undefined];
        return this.#end(
          deployment,
          "failed",
          "watch_failed",
          back ? "All traffic went back." : `${release} keeps the traffic.`,
        );
      }
      if (state === "cut_over") this.#cutOver(release);
      deployment.state = state;
      this.#emit(deployment, { type: "state", state, took: stateMs });
    }
    if (kind !== "deploy") return this.#end(deployment, "succeeded");
    this.staged = { deployment, weight: 0 };
    this.#lease = { id: deployment.id, ms: leaseMs, until: 0 };
    this.#renew();
    this.#end(deployment, "staged");
  }

  #cutOver(release: string): void {
    if (this.staged?.deployment.release === release) this.staged = undefined;
    this.#lease = undefined;
    if (release === this.live) return;
    this.previous = this.live;
    this.live = release;
  }

  async #shift(deployment: Deployment): Promise<void> {
    await this.#pause(deployment, this.behaviour.stateMs);
    if (deployment.aborted || this.staged === undefined) return this.#end(deployment, "aborted");
    this.staged.weight = deployment.weight;
    deployment.state = "healthy";
    this.#renew();
    this.#end(deployment, "succeeded");
    const { canaryFailsAt } = this.behaviour;
    if (canaryFailsAt !== undefined && deployment.weight >= canaryFailsAt) this.#unstage("failed", "canary_failed");
  }

  #unstage(outcome: "aborted" | "failed", failure?: ErrorCode): void {
    const staged = this.staged?.deployment;
    this.staged = undefined;
    this.#lease = undefined;
    if (staged !== undefined) this.#end(staged, outcome, failure);
  }

  async #pause(deployment: Deployment, ms: number): Promise<void> {
    const end = this.#time.elapsed() + ms;
    for (;;) {
      const left = end - this.#time.elapsed();
      const hurried = deployment.aborted || (deployment.watchEnded && isAtLeast(deployment.state, "cut_over"));
      if (left <= 0 || hurried) return;
      await Promise.race([this.#changed.promise, this.#time.sleep(left)]);
    }
  }

  #end(deployment: Deployment, outcome: DeploymentView["outcome"], failure?: ErrorCode, unchanged?: string): void {
    deployment.outcome = outcome;
    deployment.failure = failure;
    deployment.unchanged = unchanged;
    if (this.#running === deployment) this.#running = undefined;
    this.#emit(deployment, { type: "end", deployment: viewOf(deployment) });
  }

  #emit(deployment: Deployment, body: object): void {
    const base = { id: deployment.events.length + 1, at: new Date(this.#time.elapsed()).toISOString() };
    deployment.events.push({ ...base, ...body } as DeploymentEvent);
    this.#change();
  }

  #renew(): void {
    if (this.#lease === undefined) return;
    this.#lease.until = this.#time.elapsed() + this.#lease.ms;
    this.#time.after(this.#lease.ms, () => this.#change());
  }

  #change(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}

function isOpen({ outcome }: Deployment): boolean {
  return outcome === "running" || outcome === "staged";
}

function viewOf({ id, kind, release, weight, state, outcome, failure: code, unchanged }: Deployment): DeploymentView {
  const facts = { id, app: "shop", kind, release, state: reportedOf(state), outcome, by: { subject: "x" }, phases: [] };
  const part = kind === "activate" ? { weight } : {};
  const started = "2026-11-21T10:30:00.000Z";
  return {
    ...facts,
    ...part,
    started,
    ...(code !== undefined && { failure: { code, detail: code, ...(unchanged !== undefined && { unchanged }) } }),
  };
}

function reportedOf(state: DeploymentState): ReportedState {
  return state === "cutting_over" ? "healthy" : state;
}

function refused(code: ErrorCode): CutoverError {
  return new CutoverError(code, `refused: ${code}`, { unchanged: "Nothing was changed." });
}
