import { CutoverError } from "../../../shared/errors.ts";
import type { WorkflowRun } from "../../../shared/protocol.ts";
import type { DeployRequest } from "../../contracts/service.ts";
import { type AppState, findRelease, liveRelease, type ReleaseRecord } from "../state.ts";

/**
 * A workflow that was slow, or that somebody ran again, must not replace in silence what a later run has brought. Runs are
 * compared only within one workflow, and only if both say which run they are: a number means nothing in another workflow.
 * @throws CutoverError older_than_live
 */
export function assertNotOlder(state: AppState, { by, allowOlder }: Pick<DeployRequest, "by" | "allowOlder">): void {
  const id = liveRelease(state);
  const live = id === null ? undefined : findRelease(state, id);
  if (allowOlder === true || by.run === undefined || live?.run === undefined) return;
  if (by.run.workflow !== live.run.workflow || !isBefore(by.run, live.run)) return;
  throw new CutoverError(
    "older_than_live",
    `This is ${nameOf(by.run)} of ${by.run.workflow}, and ${describe(live)} came with ${nameOf(live.run)}.`,
    {
      unchanged: "Nothing was sent to be unpacked; the live release goes on serving.",
      fix: "If the newer release shall stay, there is nothing to do. To go back, use the command `rollback`, or `activate` with an earlier release. To deploy this one all the same, set `allow-older: true` on this step.",
    },
  );
}

function isBefore(one: WorkflowRun, other: WorkflowRun): boolean {
  return one.number === other.number ? one.attempt < other.attempt : one.number < other.number;
}

function nameOf({ number, attempt }: WorkflowRun): string {
  return attempt === 1 ? `run ${number}` : `run ${number} (attempt ${attempt})`;
}

function describe({ id, commit, live_at }: ReleaseRecord): string {
  const about = [
    ...(commit === "" ? [] : [`commit ${commit.slice(0, 12)}`]),
    ...(live_at === undefined ? [] : [`live since ${live_at}`]),
  ];
  return about.length === 0 ? `the live release ${id}` : `the live release ${id} (${about.join(", ")})`;
}
