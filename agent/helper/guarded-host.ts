import { lstat } from "node:fs/promises";
import { CutoverError } from "../../shared/errors.ts";
import { type Manifest, manifestLimits, parseManifest } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { SerialQueue } from "../../shared/serial-queue.ts";
import type { BuildContext, InstanceLogs, Releases } from "../contracts/ports.ts";
import type { RunSpec, SiteRequest } from "../contracts/privileged.ts";
import type { LocalPrivileged } from "../host/privileged.ts";
import type { CompileRequest } from "../host/python/compile.ts";
import type { BuiltEnvironment, EnvironmentBuilder } from "../host/python/environments.ts";
import { appLayout } from "../host/store/layout.ts";
import { readSafely } from "../host/store/safe-read.ts";

export interface GuardedHostParts {
  /** The agent's data directory. */
  data: string;
  privileged: LocalPrivileged;
  environments: EnvironmentBuilder;
  releases: Pick<Releases, "remove">;
  logs: Pick<InstanceLogs, "prune">;
}

/** The host as the helper acts on it. It checks again what an honest agent has checked before. */
export class GuardedHost {
  readonly privileged: LocalPrivileged;
  readonly environments: EnvironmentBuilder;
  readonly logs: Pick<InstanceLogs, "prune">;
  readonly #data: string;
  readonly #releases: Pick<Releases, "remove">;
  readonly #queues = new Map<string, SerialQueue>();

  constructor({ data, privileged, environments, releases, logs }: GuardedHostParts) {
    this.privileged = privileged;
    this.environments = environments;
    this.logs = logs;
    this.#data = data;
    this.#releases = releases;
  }

  /** One at a time for an app: what builds, shares and removes trees. */
  inTurn<T>(app: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(app) ?? new SerialQueue();
    this.#queues.set(app, queue);
    return queue.run(work);
  }

  /**
   * Only what nobody can change any more is started.
   * @throws CutoverError release_not_found, helper_refused
   */
  async ifShared<T>({ app, release }: RunSpec, work: () => Promise<T>): Promise<T> {
    await this.#assertThere(app, release);
    if (!(await this.privileged.isShared(app, release))) {
      throw refused(`${release} of ${app} is not shared with its app, so nothing of it is started`);
    }
    return work();
  }

  /** @throws CutoverError release_not_found, helper_refused, what building throws */
  async build(
    { app, release }: Pick<BuildContext, "app" | "release">,
    context: Pick<BuildContext, "onOutput" | "signal">,
  ): Promise<BuiltEnvironment> {
    await this.#assertThere(app, release);
    const manifest = await this.#manifest(app, release);
    return this.environments.build({ app, release, manifest, ...context });
  }

  /** It changes nothing, so it need not wait its turn. @throws CutoverError release_not_found, what compiling throws */
  async compile(
    { version, ...request }: Pick<CompileRequest, "app" | "release" | "paths"> & { version?: string | undefined },
    signal: AbortSignal,
  ): Promise<(string | null)[]> {
    await this.#assertThere(request.app, request.release);
    const made = await this.environments.compile({ ...request, version, signal });
    return made.map((bytes) => bytes?.toString("base64") ?? null);
  }

  /** @throws CutoverError release_not_found */
  async share(app: string, release: string): Promise<void> {
    await this.#assertThere(app, release);
    await this.privileged.shareRelease(app, release);
  }

  /** @throws CutoverError helper_refused if the release still has a run */
  async remove(app: string, release: string): Promise<void> {
    const runs = await this.privileged.runs(app);
    const own = runs.find((run) => releaseOfRun(run) === release);
    if (own !== undefined) throw refused(`${release} of ${app} still has the run ${own}, so it is not removed`);
    await this.#releases.remove(app, release);
  }

  /**
   * Visitors go only to the app's own instances, whatever else listens on this host.
   * @throws CutoverError helper_refused, nginx_*
   */
  async writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }> {
    const own = new Set(await this.privileged.ports(app));
    for (const part of [site.main, site.preview]) {
      if (part === null) continue;
      assertOwn(app, part.config);
      const foreign = part.slots.find((port) => port !== null && !own.has(port));
      if (foreign !== undefined) throw refused(`port ${foreign} is none of the instances of ${app}`);
    }
    return this.privileged.writeSite(app, site);
  }

  /** As the agent unpacked it. It is checked here again, because its fields become paths. */
  async #manifest(app: string, release: string): Promise<Manifest> {
    const layout = appLayout(this.#data, app);
    const manifest = parseManifest(await readSafely(layout.home, layout.manifest(release), manifestLimits.bytes));
    if (manifest.app === app && manifest.config.app === app && manifest.release === release) return manifest;
    throw refused(`the manifest of ${release} of ${app} is that of another release`);
  }

  /** @throws CutoverError release_not_found */
  async #assertThere(app: string, release: string): Promise<void> {
    const found = await lstat(appLayout(this.#data, app).release(release)).catch(() => undefined);
    if (found?.isDirectory()) return;
    throw new CutoverError("release_not_found", `The host has no release ${release} of ${app}.`, {
      unchanged: "Nothing was changed.",
      fix: `List the releases with \`cutover releases ${app}\`; old ones are removed after \`keep\` deploys.`,
    });
  }
}

/** @throws CutoverError helper_refused */
export function assertOwn(app: string, config: { app: string }): void {
  if (config.app !== app) throw refused(`the configuration is that of ${config.app}, not of ${app}`);
}

export function refused(why: string): CutoverError {
  return new CutoverError("helper_refused", `The helper refused: ${why}.`, {
    unchanged: "Nothing was changed.",
    fix: "This is a defect of cutover, or somebody else controls the agent. Look at the helper's log.",
  });
}
