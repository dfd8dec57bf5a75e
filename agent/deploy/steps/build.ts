import type { Manifest } from "../../../shared/manifest.ts";
import type { BuildContext } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, interruption, reach } from "../context.ts";
import { liveRelease } from "../state.ts";

/** Builds the environment of a new release and seals the release. @throws CutoverError python_not_found, environment_failed */
export async function build(context: DeployContext, manifest: Manifest): Promise<void> {
  const { key, reused } = await buildSealed(context, { manifest, reuse: liveRelease(context.state) });
  await reach(context, "built", reused ? `environment ${key} reused` : `environment ${key} made`);
}

/** An environment may have been collected since the release had traffic. Its wheels are still there. */
export async function restoreEnvironment(context: DeployContext, { app, release }: RunSpec): Promise<void> {
  const { ports, deployment } = context;
  if (await ports.environments.present(app, release)) return;
  deployment.notice(`the environment of ${release} was removed; it is built again`);
  const manifest = await ports.releases.manifest(app, release);
  const { key } = await buildSealed(context, { manifest, reuse: null, sealed: true });
  await reach(context, "built", `environment ${key} made again`);
}

/** A half-made environment is thrown away and made again, so an agent that shuts down need not wait for pip. */
async function buildSealed(
  context: DeployContext,
  parts: Pick<BuildContext, "manifest" | "reuse" | "sealed">,
): Promise<{ key: string; reused: boolean }> {
  const { ports, state, deployment } = context;
  const { app } = state;
  const { release } = parts.manifest;
  const onOutput = (source: string, line: string) => deployment.output(source, line);
  const built = await ports.environments.build({ app, release, onOutput, signal: interruption(context), ...parts });
  await ports.privileged.sealRelease(app, release);
  return built;
}
