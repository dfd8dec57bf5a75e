import { releaseOfRun } from "../../../shared/names.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { findRelease, runsInUse } from "../state.ts";
import { drainRun } from "../steps/drain.ts";
import { restoreTraffic } from "../steps/route.ts";

type Site = Pick<DeployContext, "ports" | "state" | "stopping">;

/**
 * Removes orphans: runs on the host that the state does not know, such as a canary that was being replaced when the agent was
 * killed, and the directories of releases that failed. May be interrupted and done again.
 * @returns how many requests were still open on them, and were cut
 */
export async function removeOrphans(site: Site): Promise<number> {
  const { ports, state } = site;
  const { app, staged } = state;
  const known = new Set(runsInUse(state));
  const orphans = (await ports.privileged.runs(app)).filter((run) => !known.has(run));
  if (orphans.length > 0) await restoreTraffic(site);
  if (staged === null) await ports.releases.publish(app, { canary: null, staged: null });
  let open = 0;
  for (const run of orphans) {
    open += await drainIfUp(site, run);
    await ports.privileged.removePrograms(app, run);
  }
  const busy = new Set(runsInUse(state).map(releaseOfRun));
  const failed = state.releases.filter((release) => release.state === "failed" && !busy.has(release.id));
  for (const { id } of failed) await ports.releases.remove(app, id);
  return open;
}

/** The same within a deployment, which says how many requests were cut. */
export async function removeOrphansOf(context: Site & Pick<DeployContext, "deployment">): Promise<void> {
  const cut = await removeOrphans(context);
  if (cut > 0) context.deployment.cut(cut);
}

/**
 * Waits for the last request of a run that has no traffic any more, if it is up still and its release is there.
 * @returns how many requests are still open on it
 */
export async function drainIfUp(site: Site, run: string): Promise<number> {
  const { ports, state } = site;
  const { app, live } = state;
  if (live === null || findRelease(state, releaseOfRun(run)) === undefined) return 0;
  if ((await ports.privileged.programs(app, run)) === undefined) return 0;
  // Its release may be gone already.
  const spec = await runSpec(site, run).catch(() => undefined);
  return spec === undefined ? 0 : (await drainRun(site, spec, (await runSpec(site, live)).config)).open;
}
