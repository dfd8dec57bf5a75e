import { commandsSince, notUndone } from "../../shared/release-commands.ts";
import { assertHostPolicy } from "../host-policy.ts";
import { type DeployContext, reach, runSpec, saveJournal } from "./context.ts";
import { bringLive, bringUp } from "./deploy.ts";
import { liveRelease, openJournal } from "./state.ts";
import { assertReady } from "./steps/acceptance.ts";
import { restoreEnvironment } from "./steps/build.ts";
import { waitHealthy } from "./steps/health.ts";
import { assertCanary, removeStaged, setWeight } from "./steps/stage.ts";

/** How a run gets its traffic. */
export interface Activation {
  /** Whether its instances are up already. */
  up: boolean;
  rollback: boolean;
  /** In percent; below 100 the run becomes a canary. */
  weight: number;
}

/**
 * Gives traffic to a release that is on the host already: one that is staged, an earlier one, or the live one again on fresh
 * instances. Calls `activate`, `rollback` and `redeploy` end here.
 */
export async function activate(
  context: DeployContext,
  run: string,
  { up, rollback, weight }: Activation,
): Promise<"succeeded" | "canary"> {
  const { ports, state, settings, deployment } = context;
  const spec = await runSpec(context, run);
  // A refusal changes nothing, so all of them come before the journal.
  assertHostPolicy(spec.config, settings);
  await assertReady(context, run, spec.config);
  if (weight < 100) await assertCanary(context, spec);
  openJournal(state, deployment.record, { run, ownsRelease: false });
  await saveJournal(context);
  await ports.privileged.prepareApp(state.app);
  for (const release of commandsSince(state.releases, spec.release, liveRelease(state))) {
    deployment.notice(notUndone(release));
  }
  if (up) {
    if (state.staged !== null && state.staged.weight > 0 && state.staged.run !== run) await removeStaged(context);
    await waitHealthy(context, spec);
    await reach(context, "healthy");
  } else {
    await restoreEnvironment(context, spec);
    await bringUp(context, spec);
  }
  if (weight < 100) return setWeight(context, spec, weight);
  await bringLive(context, spec, { rollback });
  return "succeeded";
}
