import type { DeploymentEvent } from "../../shared/protocol.ts";
import type { EventFiles } from "../contracts/ports.ts";

export type EventListener = (app: string, event: DeploymentEvent) => void;

/** Every deployment's events pass here on their way to the disk, its end too, whoever brought it about: so this is where listeners hear them. */
export class ObservedEvents implements EventFiles {
  readonly #files: EventFiles;
  readonly #listeners: EventListener[] = [];

  constructor(files: EventFiles) {
    this.#files = files;
  }

  /** Called at each event, in the middle of a deployment: it must neither throw nor wait. */
  listen(listener: EventListener): void {
    this.#listeners.push(listener);
  }

  append(app: string, deployment: string, event: DeploymentEvent): void {
    this.#files.append(app, deployment, event);
    for (const listener of this.#listeners) listener(app, event);
  }

  read(app: string, deployment: string): Promise<DeploymentEvent[]> {
    return this.#files.read(app, deployment);
  }

  prune(app: string, keptDeployments: string[]): Promise<void> {
    return this.#files.prune(app, keptDeployments);
  }
}
