import { copyFile, mkdir, readFile } from "node:fs/promises";
import { deploymentStates } from "../../../shared/deployment-states.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { StateStore } from "../../contracts/ports.ts";
import { type Effect, effect } from "../../effects.ts";
import { removeUnfinished, writeDurably } from "./durable.ts";
import { appLayout } from "./layout.ts";

/** state.json of each app, for the agent's user alone. Saves of one app follow each other in the order of the calls. */
export class StateFiles implements StateStore {
  readonly #data: string;
  readonly #saves = new Map<string, SerialQueue>();

  constructor(data: string) {
    this.#data = data;
  }

  /** @throws CutoverError state_unreadable if the file is no JSON: a guess could take a live release for a leftover */
  async load(app: string): Promise<unknown> {
    const file = appLayout(this.#data, app).state;
    const saved = this.#saves.get(app);
    if (saved === undefined) await removeUnfinished(file);
    else await saved.idle();
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw thrown;
    }
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
    const file = appLayout(this.#data, app).state;
    const copy = `${file}.before-repair`;
    try {
      await effect("state.copy", () => copyFile(file, copy));
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
