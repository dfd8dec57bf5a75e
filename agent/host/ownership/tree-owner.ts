import { lstat } from "node:fs/promises";
import { giveTree, type Owner, sealTree } from "./trees.ts";
import type { AppUser } from "./users.ts";

/**
 * Changes who owns a release: the agent while it is unpacked, the app's user while it is built, and root
 * when it is sealed. If the app has no other user than the agent, nothing changes.
 */
export class TreeOwner {
  readonly #agent: Owner | undefined;

  /** @param agent the agent's user, if that is not the user of this process */
  constructor(agent: Owner | undefined) {
    this.#agent = agent;
  }

  /** Gives a release to the app's user. @throws CutoverError internal if something in it belongs to somebody else */
  async give({ other }: AppUser, tree: string): Promise<void> {
    if (other === undefined || (await lstat(tree)).uid === other.uid) return;
    await giveTree(tree, this.#agent?.uid ?? 0, other);
  }

  /** Takes a tree to root. Others can only read it then. @throws CutoverError internal if something in it belongs to somebody else */
  async seal({ other }: AppUser, tree: string): Promise<void> {
    if (other === undefined) return;
    await sealTree(tree, [other.uid, ...(this.#agent === undefined ? [] : [this.#agent.uid])]);
  }

  /** Whether only root can change a release. */
  async sealed({ other }: AppUser, tree: string): Promise<boolean> {
    return other === undefined || (await lstat(tree)).uid === 0;
  }
}
