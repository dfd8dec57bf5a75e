import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "../../../shared/plain-json.ts";
import { type DeploymentEvent, deploymentEvent } from "../../../shared/protocol.ts";
import type { EventFiles } from "../../contracts/ports.ts";
import { effect, effectNow } from "../../effects.ts";
import { linesOfFile } from "./file-lines.ts";
import { appLayout } from "./layout.ts";
import { listSafely } from "./safe-read.ts";

/** In bytes: several times what a deployment's output and states fill. */
const largestFile = 32 * 1024 ** 2;

/** Events as NDJSON, one file for each deployment. Not synced: no promise depends on the last lines before a power cut. */
export class EventFilesOnDisk implements EventFiles {
  readonly #data: string;

  constructor(data: string) {
    this.#data = data;
  }

  append(app: string, deployment: string, event: DeploymentEvent): void {
    const { home, deployments } = appLayout(this.#data, app);
    // A bundle that is refused before the app has a directory leaves nothing, not even events.
    if (!existsSync(home)) return;
    try {
      mkdirSync(deployments, { recursive: true, mode: 0o750 });
      const file = join(deployments, `${deployment}.ndjson`);
      effectNow("events.append", () => appendFileSync(file, `${JSON.stringify(event)}\n`, { mode: 0o640 }));
    } catch {
      // On a full disk the deployment must still be undone. Its followers get the last events from memory.
    }
  }

  async *read(app: string, deployment: string, after = 0): AsyncGenerator<DeploymentEvent> {
    const { home, deployments } = appLayout(this.#data, app);
    for await (const line of linesOfFile(home, join(deployments, `${deployment}.ndjson`), largestFile)) {
      const { data } = deploymentEvent.safeParse(parseJson(line));
      if (data !== undefined && data.id > after) yield data;
    }
  }

  async prune(app: string, keptDeployments: string[]): Promise<void> {
    const { home, deployments } = appLayout(this.#data, app);
    const kept = new Set(keptDeployments.map((id) => `${id}.ndjson`));
    for (const file of await listSafely(home, deployments).catch(() => [])) {
      if (!kept.has(file)) await effect("events.collect", () => rm(join(deployments, file), { force: true }));
    }
  }
}
