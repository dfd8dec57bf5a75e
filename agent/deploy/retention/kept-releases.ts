import { releaseOfRun } from "../../../shared/names.ts";
import { type AppState, runsInUse } from "../state.ts";

/**
 * Which releases stay: the newest `keep` good ones (the live one among them), as many of those that were rolled back
 * between them, what is pinned, whatever has instances, and `previous`.
 * @param previous the release whose static files pages may still ask for
 */
export function keptReleases(state: AppState, keep: number, previous: string | null): string[] {
  const kept = new Set(runsInUse(state).map(releaseOfRun));
  let good = 0;
  let rolledBack = 0;
  for (const { id, live_at, state: was } of state.releases.toReversed()) {
    if (good >= keep) break;
    if (live_at === undefined) continue;
    if (was !== "rolled_back") good++;
    // Deploying and going back again and again must not fill the disk.
    else if (++rolledBack > keep && id !== previous) continue;
    kept.add(id);
  }
  for (const { id, pinned } of state.releases) if (pinned === true) kept.add(id);
  return [...kept];
}
