import { join } from "node:path";
import { slotCount } from "../../../shared/slots.ts";
import { effect } from "../../effects.ts";
import type { AgentSettings } from "../../settings.ts";
import { type Owner, removeTree } from "../ownership/ownership.ts";
import { type AppUser, groupId } from "../ownership/users.ts";
import { checkSocketPath } from "../supervisor/run-files.ts";
import { makeDirectory } from "./directory.ts";
import type { AppLayout } from "./layout.ts";

export interface AppDirectoriesOptions {
  settings: AgentSettings;
  /** The agent's user, where that is not whoever makes the directories. */
  agent?: Owner | undefined;
}

/**
 * Directories, owners and modes. An agent of its own user may make entries in an app's directory and in releases/, which
 * are root's and have the sticky bit: so it renames what it made there, and nothing that root or the app's user has.
 */
export class AppDirectories {
  readonly #settings: AgentSettings;
  readonly #agent: Owner | undefined;

  constructor({ settings, agent }: AppDirectoriesOptions) {
    this.#settings = settings;
    this.#agent = agent;
  }

  /** What is not an app's: here the agent has its audit log and the tokens that were used. */
  async prepareHost(): Promise<void> {
    const { data } = this.#settings;
    await this.#make(data, 0o755, 0o1771);
    await this.#make(join(data, "apps"), 0o755);
  }

  /** @throws CutoverError socket_path_too_long, host_settings_invalid */
  async prepare(layout: AppLayout, { other }: AppUser): Promise<void> {
    // As long as a run's sockets get: many redeploys of one release, and the last of sixty instances.
    checkSocketPath(`${layout.runDir("20000101T000000Z-0000000.99")}/web-${slotCount - 1}.sock`);
    if (this.#agent !== undefined) await this.prepareHost();
    // Others may pass, to the files and sockets whose own modes let them, but not look around.
    await effect("app.prepare", () => this.#make(layout.home, 0o711, 0o1771));
    await this.#make(layout.run, 0o711);
    await this.#make(layout.launches, 0o711);
    await this.#make(layout.ports, 0o755);
    await this.#make(layout.releases, 0o755, 0o1775);
    await this.#make(layout.venvs, 0o755);
    // New files in it get the directory's group, which is nginx's, for what `shared` in cutover.yml serves.
    const gid = other && (await groupId(this.#settings.nginx.group));
    await makeDirectory(layout.shared, {
      mode: gid === undefined ? 0o750 : 0o2750,
      owner: other && { ...other, gid: gid ?? other.gid },
      stranger: this.#agent?.uid,
    });
    await this.#make(layout.logs, 0o750, 0o750);
    await this.#make(layout.allRunLogs, 0o750, 0o750);
    await makeDirectory(layout.deployments, { mode: 0o750, owner: this.#agent });
  }

  /** For the sockets of a run, which get its group: nginx's. Its logs are supervisord's. */
  async prepareRun(layout: AppLayout, run: string, { other }: AppUser): Promise<void> {
    const gid = await groupId(this.#settings.nginx.group);
    const owner = gid === undefined ? undefined : { uid: other?.uid ?? 0, gid };
    await effect("run.prepare", () => makeDirectory(layout.runDir(run), { mode: 0o2750, owner }));
    await makeDirectory(layout.launchDir(run), { mode: 0o711 });
    await this.#make(layout.runLogs(run), 0o750, 0o750);
  }

  async remove({ home }: AppLayout): Promise<void> {
    await effect("app.remove", () => removeTree(home));
  }

  /** A directory of one's own. @param shared its mode where the agent is another user and gets it as its group */
  async #make(path: string, own: number, shared?: number): Promise<void> {
    if (this.#agent === undefined) return makeDirectory(path, { mode: own });
    const owner = { uid: 0, gid: shared === undefined ? 0 : this.#agent.gid };
    await makeDirectory(path, { mode: shared ?? own, owner, stranger: this.#agent.uid });
  }
}
