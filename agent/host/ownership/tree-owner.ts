import { lstat, mkdir } from "node:fs/promises";
import { makeDirectory } from "./directory.ts";
import { giveTree, type Owner, sealTree } from "./trees.ts";
import type { AppUser } from "./users.ts";

/**
 * Whose a release or an environment is: the agent's while it is unpacked, the app's user's while it is built, and root's
 * when it is sealed. Without another user there is nobody to give it to, nor to seal it against.
 */
export class TreeOwner {
  readonly #agent: Owner | undefined;

  /** @param agent the agent's user, where that is not this process's */
  constructor(agent: Owner | undefined) {
    this.#agent = agent;
  }

  async give({ other }: AppUser, tree: string): Promise<void> {
    if (other === undefined || (await lstat(tree)).uid === other.uid) return;
    await giveTree(tree, this.#agent?.uid ?? 0, other);
  }

  /** An empty directory for the app's user to build in. */
  async make({ other }: AppUser, directory: string): Promise<void> {
    await mkdir(directory);
    await makeDirectory(directory, { mode: 0o755, owner: other });
  }

  async seal({ other }: AppUser, tree: string): Promise<void> {
    if (other === undefined) return;
    await sealTree(tree, [other.uid, ...(this.#agent === undefined ? [] : [this.#agent.uid])]);
  }

  /** Whether nobody but root can change a release. */
  async sealed({ other }: AppUser, tree: string): Promise<boolean> {
    return other === undefined || (await lstat(tree)).uid === 0;
  }
}
