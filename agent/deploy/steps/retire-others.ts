import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, reach, saveJournal } from "../context.ts";
import { retire } from "../retention/retire.ts";
import { forgetWarm } from "../state.ts";
import { removeStaged } from "./stage.ts";

/**
 * Stops what is still warm and removes what was staged, to make room for a new run. The state forgets each first: if this is
 * interrupted, the next recovery finds an orphan and removes it.
 */
export async function retireOthers(context: DeployContext, spec: RunSpec): Promise<void> {
  const { state, deployment } = context;
  if (state.warm !== null && state.warm.run !== spec.run) {
    const { run } = state.warm;
    forgetWarm(state);
    await saveJournal(context);
    const cut = await retire(context, run);
    if (cut > 0) deployment.cut(cut);
    deployment.notice(`${run} was warm and is retired`);
  }
  // A redeploy of the staged release may fail, and leaves it staged then.
  if (state.staged !== null && releaseOfRun(state.staged.run) !== spec.release) await removeStaged(context);
}

/**
 * Stops the run that had the traffic before. With `keep_warm` its instances stay up, and housekeeping retires them later;
 * those that were up only for the watch go now.
 */
export async function retireOld(context: DeployContext, spec: RunSpec): Promise<void> {
  const { state, deployment } = context;
  if (state.staged !== null && releaseOfRun(state.staged.run) === spec.release) await removeStaged(context);
  if (state.warm !== null && milliseconds(spec.config.keep_warm) === 0) {
    const cut = await retire(context, state.warm.run);
    if (cut > 0) deployment.cut(cut);
    forgetWarm(state);
    await reach(context, "retired");
  } else if (state.warm !== null) {
    deployment.notice(`${state.warm.run} stays warm until ${state.warm.until}`);
  }
}
