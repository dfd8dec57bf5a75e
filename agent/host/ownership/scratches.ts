import { randomUUID } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { AppLayout } from "../store/layout.ts";
import { isOwnDirectory, makeDirectory } from "./directory.ts";
import { type Owner, removeTree } from "./trees.ts";

/** A directory for one build or step. Others reach what is in it only where a step's namespace shows it. */
export interface Scratch extends AsyncDisposable {
  path: string;
}

/** Makes such directories, in a directory of the app that only root can enter. */
export class Scratches {
  readonly #agent: Owner | undefined;
  readonly #used = new Set<string>();

  /** @param agent the agent's user, if that is not the user of this process */
  constructor(agent: Owner | undefined) {
    this.#agent = agent;
  }

  /**
   * @param parts the names of directories in it, which everybody may write to who gets there
   * @throws CutoverError host_settings_invalid if somebody else put something in the place of the app's directory for them
   */
  async make(layout: AppLayout, parts: readonly string[]): Promise<Scratch> {
    const owner = this.#agent && { uid: 0, gid: 0 };
    await makeDirectory(layout.build, { mode: 0o700, owner, untrusted: this.#agent?.uid });
    await this.collect(layout);
    const path = join(layout.build, randomUUID());
    // Before it is there, or another call could take it for a leftover.
    this.#used.add(path);
    await mkdir(path, { mode: 0o700 });
    for (const part of parts) {
      await mkdir(join(path, part));
      await makeDirectory(join(path, part), { mode: 0o1777 });
    }
    const remove = async () => {
      this.#used.delete(path);
      await removeTree(path);
    };
    return { path, [Symbol.asyncDispose]: remove };
  }

  /** Removes what a killed process left. Only one process works on a host at a time. */
  async collect({ build }: AppLayout): Promise<void> {
    if (!isOwnDirectory(build)) return;
    for (const name of await readdir(build).catch(() => [])) {
      const path = join(build, name);
      if (!this.#used.has(path)) await removeTree(path);
    }
  }
}
