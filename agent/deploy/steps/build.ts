import type { Manifest } from "../../../shared/manifest.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption, reach } from "../context.ts";

/** Opens a new release to its app and builds its environment. @throws CutoverError python_not_found, environment_failed */
export async function build(context: DeployContext, manifest: Manifest): Promise<void> {
  const { key, reused } = await buildFor(context, manifest);
  await reach(context, "built", reused ? `environment ${key} reused` : `environment ${key} made`);
}

/**
 * An environment may have been collected since the release had traffic. Its wheels are still there. The host's owner may have
 * given the app another user, who must be able to read the release.
 */
export async function restoreEnvironment(context: DeployContext, { app, release }: RunSpec): Promise<void> {
  const { ports, deployment } = context;
  await ports.privileged.shareRelease(app, release);
  if (await ports.environments.present(app, release)) return;
  deployment.notice(`the environment of ${release} was removed, or its Python changed; it is built again`);
  const manifest = await ports.releases.manifest(app, release);
  const { key } = await buildFor(context, manifest);
  await reach(context, "built", `environment ${key} made again`);
}

/** A half-made environment is thrown away and made again, so an agent that shuts down need not wait for pip. */
async function buildFor(context: DeployContext, manifest: Manifest): Promise<{ key: string; reused: boolean }> {
  const { ports, state, deployment } = context;
  const { app } = state;
  const { release } = manifest;
  const onOutput = (source: string, line: string) => deployment.output(source, line);
  await ports.privileged.shareRelease(app, release);
  return ports.environments.build({ app, release, manifest, onOutput, signal: interruption(context) });
}
