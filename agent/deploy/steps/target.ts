import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { type AppState, findRelease, liveRelease, rollbackTarget, runsInUse } from "../state.ts";

/** The run that a call wants to make live, and whether its instances are up already. */
export interface Target {
  run: string;
  up: boolean;
}

/** @throws CutoverError release_not_found */
export function activateTarget(state: AppState, release: string): Target {
  assertServable(state, release);
  const up = [state.live, state.staged?.run, state.warm?.run].find((run) => run && releaseOfRun(run) === release);
  return up ? { run: up, up: true } : fresh(state, release);
}

/** @throws CutoverError nothing_live, release_not_found */
export function redeployTarget(state: AppState, release: string | "live"): Target {
  return fresh(state, servableRelease(state, release));
}

/**
 * @param from only while this release is live
 * @throws CutoverError nothing_live, not_live, nothing_to_roll_back_to
 */
export function rollbackRun(state: AppState, from?: string): Target {
  if (state.live === null) throw nothingLive(state.app);
  if (from !== undefined && from !== liveRelease(state)) {
    throw new CutoverError("not_live", `${from} is not live any more: ${liveRelease(state)} is.`, {
      unchanged: "Nothing was changed by this call.",
      fix: "Look at `cutover status`. To go back from what is live now, roll back again.",
    });
  }
  const release = rollbackTarget(state);
  if (release === undefined) {
    throw new CutoverError(
      "nothing_to_roll_back_to",
      `${state.app} has no good release before ${liveRelease(state)}.`,
      {
        unchanged: "The live release goes on serving.",
        fix: "See `cutover releases`; give a certain release traffic with `cutover activate`.",
      },
    );
  }
  const warm = state.warm?.run;
  return warm !== undefined && releaseOfRun(warm) === release ? { run: warm, up: true } : fresh(state, release);
}

/** A release of this host that can have traffic, by its id or as the live one. @throws CutoverError nothing_live, release_not_found */
export function servableRelease(state: AppState, release: string | "live"): string {
  const wanted = release === "live" ? liveRelease(state) : release;
  if (wanted === null) throw nothingLive(state.app);
  assertServable(state, wanted);
  return wanted;
}

function fresh(state: AppState, release: string): Target {
  return { run: nextRun(release, runsInUse(state)), up: false };
}

/** @throws CutoverError release_not_found */
export function assertServable(state: AppState, release: string): void {
  const record = findRelease(state, release);
  if (record !== undefined && record.state !== "failed" && record.state !== "unpacked") return;
  const how = record === undefined ? "is not on this host" : `is ${record.state}`;
  throw new CutoverError("release_not_found", `Release ${release} of ${state.app} ${how}.`, {
    unchanged: "Nothing was changed.",
    fix: "`cutover releases` lists those that can have traffic. One that failed or was pruned has to be deployed again.",
  });
}

export function nothingLive(app: string): CutoverError {
  return new CutoverError("nothing_live", `${app} has no live release.`, {
    unchanged: "Nothing was changed.",
    fix: "Deploy it first.",
  });
}

/** A name for another set of instances of a release, which no run in use has. */
function nextRun(release: string, taken: Iterable<string>): string {
  const used = new Set(taken);
  if (!used.has(release)) return release;
  let number = 2;
  while (used.has(`${release}.${number}`)) number++;
  return `${release}.${number}`;
}
