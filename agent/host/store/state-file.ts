import { mkdir } from "node:fs/promises";
import { deploymentStates } from "../../../shared/deployment-states.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { StateStore } from "../../contracts/ports.ts";
import { type Effect, effect } from "../../effects.ts";
import { removeUnfinished, writeDurably } from "./durable.ts";
import { appLayout } from "./layout.ts";
import { readLimits, readSafely, readSafelyIfExists } from "./safe-read.ts";

/** state.json of each app, for the agent's user alone. Saves of one app follow each other in the order of the calls. */
export class StateFiles implements StateStore {
  readonly #data: string;
  readonly #saves = new Map<string, SerialQueue>();

  constructor(data: string) {
    this.#data = data;
  }

  /** @throws CutoverError state_unreadable if the file is no JSON: a guess could take a live release for a leftover */
  async load(app: string): Promise<unknown> {
    const { home, state: file } = appLayout(this.#data, app);
    const saved = this.#saves.get(app);
    if (saved === undefined) await removeUnfinished(file);
    else await saved.idle();
    const text = await readSafelyIfExists(home, file, readLimits.state);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CutoverError("state_unreadable", `The state of ${app} cannot be read: ${file} is not JSON.`, {
        unchanged: "The live release goes on serving.",
        fix: `Run \`cutover repair ${app}\`, which rebuilds it from what is on the host, or put ${file} back from a backup.`,
        cause,
      });
    }
  }

  async keepCopy(app: string): Promise<string | undefined> {
    const { home, state: file } = appLayout(this.#data, app);
    const copy = `${file}.before-repair`;
    try {
      const bytes = await readSafely(home, file, readLimits.state);
      await effect("state.copy", () => writeDurably(copy, bytes, 0o600));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw thrown;
    }
    return copy;
  }

  async save(app: string, state: object): Promise<void> {
    const { home, state: file } = appLayout(this.#data, app);
    const text = `${JSON.stringify(state, null, 2)}\n`;
    const saves = this.#saves.get(app) ?? new SerialQueue();
    this.#saves.set(app, saves);
    await saves.run(() =>
      effect(effectOf(state), async () => {
        await mkdir(home, { recursive: true });
        await writeDurably(file, text, 0o600);
      }),
    );
  }
}

function effectOf(state: { journal?: { deployment?: { state?: unknown }; verdict?: unknown } | null }): Effect {
  if (state.journal?.verdict !== undefined) return "state.write:verdict";
  const at = deploymentStates.find((known) => known === state.journal?.deployment?.state);
  return `state.write:${at ?? "idle"}`;
}
