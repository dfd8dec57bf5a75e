import { mkdir } from "node:fs/promises";
import { makeDirectory } from "./directory.ts";
import { type Owner, sealTree } from "./trees.ts";
import type { AppUser } from "./users.ts";

/**
 * Changes who owns an environment: the app's user while it is built, and root when it is sealed. If the app has no other
 * user than the agent, nothing changes.
 */
export class TreeOwner {
  readonly #agent: Owner | undefined;

  /** @param agent the agent's user, if that is not the user of this process */
  constructor(agent: Owner | undefined) {
    this.#agent = agent;
  }

  /** Makes an empty directory in which the app's user can build. */
  async make({ other }: AppUser, directory: string): Promise<void> {
    await mkdir(directory);
    await makeDirectory(directory, { mode: 0o755, owner: other });
  }

  /** Takes a tree to root. Others can only read it then. @throws CutoverError internal if something in it belongs to somebody else */
  async seal({ other }: AppUser, tree: string): Promise<void> {
    if (other === undefined) return;
    await sealTree(tree, [other.uid, ...(this.#agent === undefined ? [] : [this.#agent.uid])]);
  }
}
