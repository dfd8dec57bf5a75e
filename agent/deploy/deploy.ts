import type { Manifest } from "../../shared/manifest.ts";
import type { RunSpec } from "../contracts/privileged.ts";
import type { DeployRequest } from "../contracts/service.ts";
import { type DeployContext, interruption, reach, runSpec } from "./context.ts";
import { isPause } from "./recovery/pause.ts";
import { build } from "./steps/build.ts";
import { moveTraffic } from "./steps/cutover.ts";
import { assertRunning, waitHealthy } from "./steps/health.ts";
import { assertInside } from "./steps/listeners.ts";
import { startProcessesOrGiveBack } from "./steps/processes.ts";
import { runReleaseCommand } from "./steps/release-command.ts";
import { retireOld, retireOthers } from "./steps/retire-others.ts";
import { seedShared } from "./steps/seed-shared.ts";
import { settle } from "./steps/settle.ts";
import { stage } from "./steps/stage.ts";
import { revert } from "./watch/revert.ts";

/**
 * A deploy, from a release on disk to the traffic. `acceptance.ts` has put the release there. Up to the cutover a failure
 * undoes the deployment; from the cutover on it is finished. An agent that shuts down leaves a deploy between two steps,
 * and its next start calls this again: steps that were done are left out, or do nothing.
 */
export async function deploy(
  context: DeployContext,
  manifest: Manifest,
  { activate, releaseCommand }: Pick<DeployRequest, "activate" | "releaseCommand">,
): Promise<"succeeded" | "staged"> {
  const { deployment } = context;
  const spec = await runSpec(context, manifest.release);
  if (!deployment.isAtLeast("built")) await build(context, manifest);
  if (!deployment.isAtLeast("released")) {
    await seedShared(context, spec);
    await runReleaseCommand(context, spec, releaseCommand);
  }
  await bringUp(context, spec);
  if (!activate) return stage(context, spec);
  await bringLive(context, spec, { rollback: false });
  return "succeeded";
}

/**
 * Starts the run next to the live one and waits until it is healthy. No more than two releases stay up, so what is still
 * warm or staged is stopped. That takes a second or more, and happens while the new instances boot.
 */
export async function bringUp(context: DeployContext, spec: RunSpec): Promise<void> {
  context.stopping.throwIfAborted();
  await context.ports.privileged.startPrograms(spec);
  await reach(context, "started");
  const retired = failureOf(retireOthers(context, spec));
  const started = await failureOf(becomeHealthy(context, spec));
  // An agent that shuts down does not wait for what is being retired: the next start removes that before it goes on.
  if (started !== undefined && isPause(context, started.reason)) throw started.reason;
  const failure = (await retired) ?? started;
  if (failure !== undefined) throw failure.reason;
}

async function becomeHealthy(context: DeployContext, spec: RunSpec): Promise<void> {
  await waitHealthy(context, spec);
  await assertInside(context, spec);
  await reach(context, "healthy");
}

/** From a healthy run to one that has all of the traffic. */
export async function bringLive(context: DeployContext, spec: RunSpec, how: { rollback: boolean }): Promise<void> {
  await context.ports.releases.sync(spec.app, spec.release);
  await startProcessesOrGiveBack(context, spec);
  await assertRunning(context, spec);
  // The health check may be old by now: others were retired, or processes had to stay up.
  await waitHealthy(context, spec);
  interruption(context).throwIfAborted();
  await cutOver(context, spec, how);
}

/**
 * The cutover and what follows it: this is never undone once the traffic has moved. Recovery calls it again after a crash,
 * so each of its effects may safely happen twice. A release that fails its watch gets a verdict in the journal, and the
 * traffic goes back if the run before can serve. Otherwise the release keeps it.
 */
export async function cutOver(context: DeployContext, spec: RunSpec, how: { rollback: boolean }): Promise<void> {
  // A verdict that another agent wrote, or an earlier attempt.
  if (goesBack(context) && (await revert(context, spec))) return;
  if (!context.deployment.isAtLeast("cut_over")) await moveTraffic(context, spec, how);
  await settle(context, spec);
  // The verdict of this watch.
  if (goesBack(context) && (await revert(context, spec))) return;
  await retireOld(context, spec);
}

function goesBack({ state }: DeployContext): boolean {
  return state.journal?.verdict?.back === true;
}

function failureOf(step: Promise<void>): Promise<{ reason: unknown } | undefined> {
  return step.then(
    () => undefined,
    (reason: unknown) => ({ reason }),
  );
}
