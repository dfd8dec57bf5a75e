import type { DeploymentEvent } from "../../shared/protocol.ts";
import type { EventFiles } from "../contracts/ports.ts";

export type EventListener = (app: string, event: DeploymentEvent) => void;

/** Listeners hear all events here, since every event of a deployment passes on its way to the disk, including its end. */
export class ObservedEvents implements EventFiles {
  readonly #files: EventFiles;
  readonly #listeners: EventListener[] = [];

  constructor(files: EventFiles) {
    this.#files = files;
  }

  /** @param listener called at each event, in the middle of a deployment: it must neither throw nor wait */
  listen(listener: EventListener): void {
    this.#listeners.push(listener);
  }

  append(app: string, deployment: string, event: DeploymentEvent): void {
    this.#files.append(app, deployment, event);
    for (const listener of this.#listeners) listener(app, event);
  }

  read(app: string, deployment: string, after?: number): AsyncIterable<DeploymentEvent> {
    return this.#files.read(app, deployment, after);
  }

  prune(app: string, keptDeployments: string[]): Promise<void> {
    return this.#files.prune(app, keptDeployments);
  }
}
