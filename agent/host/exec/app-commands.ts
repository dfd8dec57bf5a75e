import { dirname, join } from "node:path";
import { type Mask, maskUrls, maskValues } from "../../../shared/mask.ts";
import { releaseId } from "../../../shared/names.ts";
import type { CommandRequest, RunSpec } from "../../contracts/privileged.ts";
import type { CommandEnvironment } from "../../contracts/service.ts";
import { effect } from "../../effects.ts";
import type { AppSteps } from "./app-steps.ts";
import { readSecrets, runEnvironment } from "./environment.ts";
import type { HostApp } from "./host-app.ts";

/** Runs a command of the repository in its release, with the release's environment. @returns its exit code @throws CutoverError aborted, timed_out */
export async function runCommand(
  app: HostApp,
  steps: AppSteps,
  spec: RunSpec,
  { argv: given, timeoutMs, signal, source, onOutput }: CommandRequest,
): Promise<number> {
  const argv = given.map((word) => word.replaceAll("{shared}", () => app.layout.shared));
  const { directory: cwd, env } = await commandEnvironment(app, spec);
  const mask = await secretsMask(app);
  const onLine = (line: string) => onOutput(source, mask(line));
  return effect("release.command", () => steps.command(app, { argv, cwd, env, timeoutMs, signal, onLine }));
}

/** What it takes to run a command of a run. @throws CutoverError host_settings_invalid */
export async function commandEnvironment(app: HostApp, spec: RunSpec): Promise<CommandEnvironment> {
  return {
    release: spec.release,
    directory: app.layout.app(releaseId.parse(spec.release)),
    env: await specEnvironment(app, spec),
    ...app.user.other,
  };
}

/** Masks the values of the app's secrets, and passwords in URLs. @throws CutoverError host_settings_invalid */
export async function secretsMask(app: HostApp): Promise<Mask> {
  const mask = maskValues(Object.values(await secretsOf(app)));
  return (text) => maskUrls(mask(text));
}

function secretsOf({ settings, user }: Pick<HostApp, "settings" | "user">): Promise<Record<string, string>> {
  const { app, file, env_file } = settings;
  return readSecrets(env_file ?? join(dirname(file), `${app}.env`), env_file !== undefined, user.other?.uid);
}

/** The environment of a run's commands, or of one of its instances or processes. @throws CutoverError host_settings_invalid */
export async function specEnvironment({ layout, settings, user }: HostApp, spec: RunSpec, instance?: string) {
  return runEnvironment({
    app: spec.app,
    release: spec.release,
    run: spec.run,
    venv: layout.releaseVenv(releaseId.parse(spec.release)),
    shared: layout.shared,
    home: user.home,
    user: user.name,
    config: spec.config.env,
    secrets: await secretsOf({ settings, user }),
    ...(instance !== undefined && { instance }),
  });
}
