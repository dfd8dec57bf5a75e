import { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentEvent, DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Deployment } from "../deployment.ts";
import type { AppState } from "../state.ts";

/** Ended deployments that stay in memory, without their events: those are in their files. */
const endedInMemory = 100;

interface Parts {
  ports: Pick<Ports, "apps" | "events" | "clock">;
  stateOf(app: string): Promise<AppState>;
}

/** Deployments by their ids: those since the agent started, and those in the history of their app. */
export class DeploymentRegistry {
  readonly #parts: Parts;
  readonly #recent = new Map<string, Deployment>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  add(deployment: Deployment): void {
    this.#recent.set(deployment.id, deployment);
  }

  /** A deployment since the agent started. */
  recent(id: string): Deployment | undefined {
    return this.#recent.get(id);
  }

  /** @throws CutoverError deployment_not_found */
  async view(id: string): Promise<DeploymentView> {
    const known = this.#recent.get(id);
    if (known !== undefined) return known.view;
    for (const app of await this.#parts.ports.apps.names()) {
      const state = await this.#parts.stateOf(app).catch(() => undefined);
      const view = state?.history.find((past) => past.id === id);
      if (view !== undefined) return view;
    }
    throw new CutoverError("deployment_not_found", `The agent knows no deployment ${id}.`, {
      unchanged: "Nothing was changed.",
      fix: "Deployments are remembered for the last 20 of an app.",
    });
  }

  /** Resolves when the deployment is at rest, or after `waitMs`. */
  async settled(id: string, waitMs: number, signal: AbortSignal): Promise<DeploymentView> {
    const timeout = new AbortController();
    const cancel = this.#parts.ports.clock.after(waitMs, () => timeout.abort());
    try {
      await this.#recent.get(id)?.events.settled(AbortSignal.any([signal, timeout.signal]));
    } finally {
      cancel();
    }
    return this.view(id);
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    const known = this.#recent.get(id);
    if (known !== undefined) {
      yield* known.events.follow(after, signal);
      return;
    }
    const { app } = await this.view(id);
    yield* this.#parts.ports.events.read(app, id, after);
  }

  /** What has ended leaves nothing but a view and its last event in memory. */
  forgetOld(): void {
    const ended = [...this.#recent.values()].filter((known) => known.outcome !== "running");
    for (const { id } of ended.slice(0, -endedInMemory)) this.#recent.delete(id);
    for (const known of ended) known.events.forget();
  }
}
