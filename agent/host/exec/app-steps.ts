import { dirname } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { maskUrls } from "../../../shared/mask.ts";
import type { AgentSettings } from "../../settings.ts";
import type { Scratches } from "../ownership/scratches.ts";
import { userIds } from "../ownership/users.ts";
import { withRoom } from "./disk-watch.ts";
import type { HostApp } from "./host-app.ts";
import { confined, type SandboxTools, sandboxTools } from "./sandbox.ts";
import { runStep, type StepRequest } from "./step.ts";
import { type StepView, scratchParts } from "./step-view.ts";
import type { StepUser } from "./systemd-step.ts";

export interface AppStepsOptions {
  settings: Pick<AgentSettings, "limits" | "data" | "build_user" | "agent_user">;
  launcher: { node: string; file: string };
  scratches: Scratches;
}

/**
 * Runs commands of builds and releases, confined as far as this host allows. If the app has another user than this process,
 * builds run as somebody who is neither: what they make is nobody's until root has taken it over.
 */
export class AppSteps {
  readonly #options: AppStepsOptions;

  constructor(options: AppStepsOptions) {
    this.#options = options;
  }

  /**
   * Runs a step of a build, which sees of the data directory only the app's releases, or what the request says. cutover sets
   * its environment. @returns its exit code @throws CutoverError aborted, timed_out, disk_full, host_settings_invalid
   */
  async build(app: HostApp, { mounts, ...asked }: StepRequest): Promise<number> {
    const { settings } = this.#options;
    // It gets none of the app's secrets, but a requirements file may hold URLs with a password.
    const step = { ...asked, onLine: (line: string) => asked.onLine(maskUrls(line)) };
    const how = { network: step.network ?? false, limits: settings.limits, quiet: true };
    const tools = await sandboxTools();
    if (app.user.other === undefined) return runStep(confined(step, how, tools));
    const { releases } = app.layout;
    const seen = mounts ?? [{ source: releases, target: releases, writable: false }];
    const view: StepView = { data: settings.data, mounts: seen };
    const user = await this.#builder(app, app.user.other, tools);
    const room = { path: app.layout.releases, reserve: settings.limits.free };
    return withRoom(room, step.signal, (signal) => this.#run(app, { ...step, signal }, { ...how, user, view }, tools));
  }

  /** Runs a command of the repository as the app's user. Its environment holds the repository's values and the app's secrets. */
  async command(app: HostApp, step: StepRequest): Promise<number> {
    const { settings, launcher } = this.#options;
    const how = { user: app.user.other, network: true, limits: settings.limits, launcher };
    return this.#run(app, step, how, await sandboxTools());
  }

  async #run(
    { layout }: HostApp,
    step: StepRequest,
    how: Parameters<typeof confined>[1],
    tools: SandboxTools,
  ): Promise<number> {
    if (how.user === undefined || tools.unshare === undefined) return runStep(confined(step, how, tools));
    const { scratches, launcher, settings } = this.#options;
    await using scratch = await scratches.make(layout, scratchParts);
    // The launcher may be a source file, with modules next to its directory.
    const keep = [settings.data, dirname(dirname(launcher.file)), dirname(launcher.node)];
    return await runStep(confined(step, { ...how, mounts: { scratch: scratch.path, keep } }, tools));
  }

  /** Who builds. It is in the app's group, which may read the release. */
  async #builder(
    { settings: { file } }: HostApp,
    app: { uid: number; gid: number },
    tools: SandboxTools,
  ): Promise<StepUser> {
    const groups = [app.gid];
    if (tools.systemd !== undefined) return { dynamic: true, groups };
    if (tools.unshare === undefined) throw noNamespaces();
    const { build_user: name, agent_user } = this.#options.settings;
    const builder = await userIds(name);
    if (builder === undefined) throw noBuilder(`This host has no user ${name}, as which builds run.`, name);
    const agent = await userIds(agent_user);
    if (builder.uid === 0 || builder.uid === app.uid || builder.uid === agent?.uid) {
      throw noBuilder(`Builds must not run as ${name}, which is root, the agent's user or that of ${file}.`, name);
    }
    return { ...builder, groups };
  }
}

function noBuilder(message: string, name: string): CutoverError {
  return new CutoverError("host_settings_invalid", message, {
    unchanged: "Nothing was built. The live release goes on serving.",
    fix: `Create a user for builds alone (\`useradd --system --no-create-home ${name}\`), or name another as \`build_user\` in agent.yml.`,
  });
}

function noNamespaces(): CutoverError {
  return new CutoverError(
    "host_settings_invalid",
    "This host lets cutover make no namespaces for mounts and processes, so a build could not be kept apart.",
    {
      unchanged: "Nothing was built. The live release goes on serving.",
      fix: "Run cutover under systemd, or give the container that it runs in the right to mount (CAP_SYS_ADMIN), then deploy again.",
    },
  );
}
