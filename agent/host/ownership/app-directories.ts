import { existsSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { basename, join } from "node:path";
import { appName, runId } from "../../../shared/names.ts";
import { slotCount } from "../../../shared/slots.ts";
import { effect } from "../../effects.ts";
import type { AgentSettings } from "../../settings.ts";
import { type AppLayout, appLayout, requestPlaces } from "../store/layout.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { checkSocketPath } from "../supervisor/instances.ts";
import { assertOwnDirectory, isOwnDirectory, makeDirectory } from "./directory.ts";
import { admitThrough, admitToDirectory, admitToSockets } from "./socket-access.ts";
import { type Owner, removeTree } from "./trees.ts";
import { type AppUser, groupId } from "./users.ts";

export interface AppDirectoriesOptions {
  settings: AgentSettings;
  /** The agent's user, if that is not the user of this process. */
  agent?: Owner | undefined;
}

/**
 * Makes an app's directories, with owners and modes. An agent with its own user may create entries in an app's directory and
 * in releases/. These are root's and have the sticky bit: so the agent can rename what it created there, and nothing that
 * belongs to root or to the app's user.
 */
export class AppDirectories {
  readonly #settings: AgentSettings;
  readonly #agent: Owner | undefined;

  constructor({ settings, agent }: AppDirectoriesOptions) {
    this.#settings = settings;
    this.#agent = agent;
  }

  /** For an agent that starts. @throws CutoverError host_settings_invalid */
  async prepareHost(): Promise<void> {
    await this.#prepareData();
    await this.#prepareRequests();
    if (this.#agent !== undefined) await this.#admitToRuns(this.#agent);
  }

  /** nginx refuses a site whose log has no directory. @throws CutoverError host_settings_invalid */
  async ensureRequests(): Promise<void> {
    if (!isOwnDirectory(requestPlaces(this.#settings.data).lines)) await this.#prepareRequests();
  }

  /**
   * The directory of the lines of requests. Its files are nginx's, which opens them to everybody: so only nginx's workers and
   * the agent may pass the directory.
   */
  async #prepareRequests(): Promise<void> {
    const { lines } = requestPlaces(this.#settings.data);
    const gid = await groupId(this.#settings.nginx.group);
    const owner = gid === undefined ? undefined : { uid: process.geteuid?.() ?? 0, gid };
    await makeDirectory(lines, { mode: 0o710, owner, untrusted: this.#agent?.uid });
    if (this.#agent !== undefined) await admitThrough(lines, this.#agent.uid);
  }

  /** The data directory itself, where the agent has its audit log and the used tokens. */
  async #prepareData(): Promise<void> {
    const { data } = this.#settings;
    await this.#make(data, 0o755, 0o1771);
    await this.#make(join(data, "apps"), 0o755);
  }

  /** The agent of an earlier release was in nginx's group, and the runs that it started still serve. */
  async #admitToRuns({ uid }: Owner): Promise<void> {
    for (const app of await listIfExists(join(this.#settings.data, "apps"))) {
      if (!appName.safeParse(app).success) continue;
      const layout = appLayout(this.#settings.data, app);
      const runs = (await listIfExists(layout.run)).filter((run) => runId.safeParse(run).success);
      for (const run of runs) await admitToSockets(layout.runDir(run), uid);
    }
  }

  /** @throws CutoverError socket_path_too_long, host_settings_invalid */
  async prepare(layout: AppLayout, { other }: AppUser): Promise<void> {
    // The longest path of a run's socket: after many redeploys of one release, for the last of sixty instances.
    checkSocketPath(`${layout.runDir("20000101T000000Z-0000000.99")}/web-${slotCount - 1}.sock`);
    if (this.#agent !== undefined) await this.#prepareData();
    if (!existsSync(layout.home)) await this.#make(layout.home, 0o711);
    await this.#make(layout.run, 0o711);
    if (this.#agent !== undefined) await this.#make(layout.build, 0o700);
    await this.#make(layout.launches, 0o711);
    await this.#make(layout.ports, 0o755);
    await this.#make(layout.releases, 0o755, 0o1775);
    await this.#make(layout.venvs, 0o755);
    // New files get the directory's group, nginx's, so that nginx can serve `shared` of cutover.yml.
    const gid = other && (await groupId(this.#settings.nginx.group));
    await makeDirectory(layout.shared, {
      mode: gid === undefined ? 0o750 : 0o2750,
      owner: other && { ...other, gid: gid ?? other.gid },
      untrusted: this.#agent?.uid,
    });
    await this.#make(layout.logs, 0o750, 0o750);
    await this.#make(layout.allRunLogs, 0o750, 0o750);
    await makeDirectory(layout.deployments, { mode: 0o750, owner: this.#agent });
    // Last: the agent could put something into a place that is still empty. Others may pass through to files and sockets whose
    // own modes allow it, but not list the directory.
    await effect("app.prepare", () => this.#make(layout.home, 0o711, 0o1771));
  }

  /** A run's directories: for its sockets, which nginx's group and the agent may open, for its launch files, for its logs. */
  async prepareRun(layout: AppLayout, run: string, { other }: AppUser): Promise<void> {
    const gid = await groupId(this.#settings.nginx.group);
    const owner = gid === undefined ? undefined : { uid: other?.uid ?? 0, gid };
    if (this.#agent !== undefined) for (const path of [layout.run, layout.launches]) assertOwnDirectory(path);
    await effect("run.prepare", async () => {
      await makeDirectory(layout.runDir(run), { mode: 0o2750, owner });
      if (this.#agent !== undefined) await admitToDirectory(layout.runDir(run), this.#agent.uid);
    });
    await makeDirectory(layout.launchDir(run), { mode: 0o711 });
    await this.#make(layout.runLogs(run), 0o750, 0o750);
  }

  /** @param data also what the releases share, such as uploads */
  async remove({ home, shared }: AppLayout, data: boolean): Promise<void> {
    await effect("app.remove", async () => {
      // First closed to the agent: else it could put something into the place of what is gone, while the rest is removed.
      if (existsSync(home)) await this.#make(home, 0o711);
      if (data || !(await holdsData(shared))) return removeTree(home);
      for (const name of await listIfExists(home)) if (name !== basename(shared)) await removeTree(join(home, name));
    });
  }

  /** @param own its mode @param shared its mode if the agent is another user and its group gets the directory */
  async #make(path: string, own: number, shared?: number): Promise<void> {
    if (this.#agent === undefined) return makeDirectory(path, { mode: own });
    const owner = { uid: 0, gid: shared === undefined ? 0 : this.#agent.gid };
    await makeDirectory(path, { mode: shared ?? own, owner, untrusted: this.#agent.uid });
  }
}

/** A link in its place holds none. */
async function holdsData(shared: string): Promise<boolean> {
  const found = await lstat(shared).catch(() => undefined);
  return found?.isDirectory() === true && (await listIfExists(shared)).length > 0;
}
