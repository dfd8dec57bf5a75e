import type { Deployments } from "../../agent/deploy/deployments.ts";
import type { Host } from "./host.ts";

/** I5: who is let through is the list of one call, and not a mixture. */
export class Maintaining {
  readonly #host: Host;
  readonly #calls = new Map<string, { open: number; lists: (string[] | null)[] }>();

  constructor(host: Host) {
    this.#host = host;
  }

  async call(service: Deployments, app: string, allow: string[] | null): Promise<void> {
    const now = this.#calls.get(app) ?? { open: 0, lists: [] };
    this.#calls.set(app, now);
    const { removing } = this.#host.watcher;
    const removals = removing.has(app) ? -1 : removing.begun;
    now.open++;
    now.lists.push(allow);
    let well = true;
    await service.maintain(app, allow === null ? null : { allow }).catch(() => {
      well = false;
    });
    now.open--;
    if (!well) now.lists.push(null);
    if (now.open > 0) return;
    this.#calls.delete(app);
    // Who removes the app in the middle takes away what was said before.
    if (well && removing.begun === removals) this.#check(app, now.lists);
  }

  #check(app: string, lists: (string[] | null)[]): void {
    const { allow, maintenance } = this.#host.disk(app);
    const has = JSON.stringify([...allow].sort());
    const wanted = lists.map((one) => JSON.stringify([...(one ?? [])].sort()));
    if (maintenance === undefined || wanted.includes(has)) return;
    this.#host.watcher.broken("I5", `maintenance lets ${has} through, and no call has said so: ${wanted.join(" ")}`);
  }
}
