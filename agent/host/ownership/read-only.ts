import { chmodSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { effect } from "../../effects.ts";
import { Turns } from "../store/turns.ts";

/** The agent links bytecode into these directories later. Python itself writes there only what it would not read. */
const bytecode = "__pycache__";

/**
 * Makes the directories of a release read-only for their owner: in embedded mode the app runs as the agent's user, and a
 * project that writes into itself must fail there as it does on a host.
 * @param release its own directory stays writable: the agent adds the link to the environment
 */
export async function makeReadOnly(release: string): Promise<void> {
  const turns = new Turns();
  const close = async (directory: string): Promise<void> => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name !== bytecode) await close(join(directory, entry.name));
      if (entry.name.endsWith(".py")) mkdirSync(join(directory, bytecode), { recursive: true });
    }
    chmodSync(directory, 0o555);
    await turns.after();
  };
  await effect(
    "release.share",
    async () => {
      for (const entry of readdirSync(release, { withFileTypes: true })) {
        if (entry.isDirectory()) await close(join(release, entry.name));
      }
    },
    release,
  );
}
