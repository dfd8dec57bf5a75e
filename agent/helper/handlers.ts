import { lstat } from "node:fs/promises";
import { CutoverError } from "../../shared/errors.ts";
import { type Manifest, manifestLimits, parseManifest } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { SerialQueue } from "../../shared/serial-queue.ts";
import type { Environments, InstanceLogs, Releases } from "../contracts/ports.ts";
import type { OutputListener, RunSpec } from "../contracts/privileged.ts";
import type { LocalPrivileged } from "../host/privileged.ts";
import { appLayout } from "../host/store/layout.ts";
import { readWithin } from "../host/store/safe-read.ts";
import type { HelperRequest } from "./requests.ts";

export interface HelperActsOptions {
  data: string;
  privileged: LocalPrivileged;
  environments: Environments;
  releases: Pick<Releases, "remove">;
  logs: Pick<InstanceLogs, "collect">;
}

export interface ActContext {
  onOutput: OutputListener;
  signal: AbortSignal;
}

/** Does what is asked, after it has looked itself at whatever an honest agent would have seen to before. */
export class HelperActs {
  readonly #options: HelperActsOptions;
  /** One at a time for an app: what gives, builds, seals and removes trees. */
  readonly #queues = new Map<string, SerialQueue>();

  constructor(options: HelperActsOptions) {
    this.#options = options;
  }

  answer(request: HelperRequest, context: ActContext): Promise<unknown> {
    const { privileged, environments } = this.#options;
    const { method, params } = request;
    switch (method) {
      case "prepareHost":
        return privileged.prepareHost();
      case "prepareApp":
        return privileged.prepareApp(params.app);
      case "removeApp":
        return this.#inTurn(params.app, () => privileged.removeApp(params.app));
      case "instances":
        return privileged.instances(params);
      case "startPrograms":
        return this.#ofSealed(params, () => privileged.startPrograms(params));
      case "programs":
        return privileged.programs(params.app, params.run);
      case "removePrograms":
        return privileged.removePrograms(params.app, params.run);
      case "runs":
        return privileged.runs(params.app);
      case "startProcess":
        return this.#ofSealed(params.spec, () => privileged.startProcess(params.spec, params.process));
      case "processes":
        return privileged.processes(params.app);
      case "stopProcess":
        return privileged.stopProcess(params.app, params.run, params.process);
      case "removeProcess":
        return privileged.removeProcess(params.app, params.run, params.process);
      case "runCommand": {
        const { spec, argv, timeoutMs } = params;
        const command = { argv, timeoutMs, source: "release", ...context };
        return this.#ofSealed(spec, () => privileged.runCommand(spec, command));
      }
      case "maskSecrets":
        return privileged.maskSecrets(params.app, params.texts);
      case "commandEnvironment":
        return privileged.commandEnvironment(params);
      case "checkSite":
        assertOwn(params.app, params.config);
        return privileged.checkSite(params.app, params.config);
      case "writeSite":
        return this.#writeSite(params);
      case "upstreamServers":
        return privileged.upstreamServers(params.app);
      case "oldWorkers":
        return privileged.oldWorkers();
      case "buildEnvironment":
        return this.#inTurn(params.app, () => this.#build(params, context));
      case "environmentPresent":
        return environments.present(params.app, params.release);
      case "collectEnvironments":
        return this.#inTurn(params.app, () => environments.collect(params.app, params.kept));
      case "sealRelease":
        return this.#inTurn(params.app, () => this.#seal(params));
      case "removeRelease":
        return this.#inTurn(params.app, () => this.#remove(params));
      case "collectLogs":
        return this.#options.logs.collect(params.app, params.kept);
      default:
        return method satisfies never;
    }
  }

  #inTurn<T>(app: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(app) ?? new SerialQueue();
    this.#queues.set(app, queue);
    return queue.run(work);
  }

  /** What runs comes from releases that nobody can change any more. */
  async #ofSealed<T>({ app, release }: RunSpec, work: () => Promise<T>): Promise<T> {
    await this.#owner(app, release);
    if (!(await this.#options.privileged.isSealed(app, release))) {
      throw refused(`${release} of ${app} is not sealed, so nothing of it is started`);
    }
    return work();
  }

  async #build(
    { app, release, reuse }: { app: string; release: string; reuse: string | null },
    context: ActContext,
  ): Promise<{ key: string; reused: boolean }> {
    const { environments, privileged } = this.#options;
    await this.#owner(app, release);
    const manifest = this.#manifest(app, release);
    const sealed = await privileged.isSealed(app, release);
    const kept = reuse !== null && (await this.#isSealed(app, reuse)) ? reuse : null;
    return environments.build({ app, release, manifest, reuse: kept, sealed, ...context });
  }

  /** As the agent unpacked it; checked here again, since its fields become paths. */
  #manifest(app: string, release: string): Manifest {
    const { data } = this.#options;
    const manifest = parseManifest(readWithin(appLayout(data, app).release(release), "manifest.json", largestManifest));
    if (manifest.app === app && manifest.config.app === app && manifest.release === release) return manifest;
    throw refused(`the manifest of ${release} of ${app} is that of another release`);
  }

  async #seal({ app, release }: { app: string; release: string }): Promise<void> {
    await this.#owner(app, release);
    await this.#options.privileged.sealRelease(app, release);
  }

  async #remove({ app, release }: { app: string; release: string }): Promise<void> {
    const runs = await this.#options.privileged.runs(app);
    const own = runs.find((run) => releaseOfRun(run) === release);
    if (own !== undefined) throw refused(`${release} of ${app} still has the run ${own}, so it is not removed`);
    await this.#options.releases.remove(app, release);
  }

  /** Visitors go to the app's own instances alone, whatever else listens on this host. */
  async #writeSite({ app, site }: Extract<HelperRequest, { method: "writeSite" }>["params"]): Promise<unknown> {
    const { privileged } = this.#options;
    const own = new Set(await privileged.ports(app));
    for (const part of [site.main, site.preview]) {
      if (part === null) continue;
      assertOwn(app, part.config);
      const strange = part.slots.find((port) => port !== null && !own.has(port));
      if (strange !== undefined) throw refused(`port ${strange} is none of the instances of ${app}`);
    }
    return privileged.writeSite(app, site);
  }

  async #isSealed(app: string, release: string): Promise<boolean> {
    return this.#options.privileged.isSealed(app, release).catch(() => false);
  }

  /** @throws CutoverError release_not_found */
  async #owner(app: string, release: string): Promise<void> {
    const found = await lstat(appLayout(this.#options.data, app).release(release)).catch(() => undefined);
    if (found?.isDirectory()) return;
    throw new CutoverError("release_not_found", `The host has no release ${release} of ${app}.`, {
      unchanged: "Nothing was changed.",
      fix: `List what there is with \`cutover releases ${app}\`; older releases are removed after \`keep\` deploys.`,
    });
  }
}

const largestManifest = manifestLimits.bytes;

function assertOwn(app: string, config: { app: string }): void {
  if (config.app !== app) throw refused(`the configuration is that of ${config.app}, not of ${app}`);
}

export function refused(why: string): CutoverError {
  return new CutoverError("helper_refused", `The helper refused: ${why}.`, {
    unchanged: "Nothing was changed.",
    fix: "This is a defect of cutover, or an agent that somebody else controls. Look at the helper's log.",
  });
}
