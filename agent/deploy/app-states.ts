import type { Ports } from "../contracts/ports.ts";
import type { AppState } from "./state.ts";
import { assertNeverLive, loadState } from "./state-format.ts";

/** The state of each app, read once. Memory holds what the file has, or is about to get. */
export class AppStates {
  readonly #ports: Pick<Ports, "apps" | "states" | "releases">;
  readonly #states = new Map<string, AppState>();

  constructor(ports: Pick<Ports, "apps" | "states" | "releases">) {
    this.#ports = ports;
  }

  /** @throws CutoverError app_not_found, state_unreadable */
  async of(app: string): Promise<AppState> {
    const known = this.#states.get(app);
    if (known !== undefined) return known;
    await this.#ports.apps.settings(app);
    const state = await loadState(this.#ports.states, app);
    if (state.releases.length === 0) await assertNeverLive(this.#ports.releases, app);
    const first = this.#states.get(app) ?? state;
    this.#states.set(app, first);
    return first;
  }

  /** From now on this is the app's state: it was reconstructed. */
  adopt(app: string, state: AppState): void {
    this.#states.set(app, state);
  }

  forget(app: string): void {
    this.#states.delete(app);
  }
}
