import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { ReleaseView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import { runSpec } from "../context.ts";
import type { AppState } from "../state.ts";
import { emptyState } from "../state-format.ts";

/** A run that was found on the host. */
interface FoundRun {
  run: string;
  release: string;
  /** How many of nginx's slots lead to it. */
  slots: number;
}

/**
 * An app's state from what is on the host: its releases, its links, what supervisor runs, where the slots lead. Changes
 * nothing. What only the state file tells is lost: history, pins, and which of the releases were rolled back.
 */
export async function reconstructState(ports: Ports, app: string): Promise<AppState> {
  const links = await ports.releases.published(app);
  const found = (await ports.releases.list(app)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  // The right states are not known yet; until then the releases only have to be there, so that their runs are found.
  const state: AppState = {
    ...emptyState(app),
    releases: found.map((release) => ({ ...release, state: "good", live_at: release.created })),
  };
  const up = await runsOf(ports, state);
  const serving = up.filter(({ slots }) => slots > 0).toSorted((a, b) => b.slots - a.slots);
  const live = serving[0] ?? up.find(({ release }) => release === links.current);
  const releases = await Promise.all(state.releases.map((record) => describe({ ports, state }, record, live)));
  if (live === undefined) return { ...state, releases };
  // A canary loses its share and finishes its requests; a rollback can go to the release before.
  const canary = serving.find(({ run }) => run !== live.run);
  const warm = canary ?? up.find(({ run, release }) => run !== live.run && release === links.previous);
  if (warm === undefined) return { ...state, releases, live: live.run };
  const { config } = await runSpec({ ports, state }, live.run);
  const until = new Date(ports.clock.now() + milliseconds(config.keep_warm)).toISOString();
  return { ...state, releases, live: live.run, warm: { run: warm.run, until } };
}

type Site = { ports: Ports; state: AppState };

async function describe(site: Site, record: ReleaseView, live: FoundRun | undefined): Promise<ReleaseView> {
  const { config } = await runSpec(site, record.id);
  const commanded = config.release === undefined ? {} : { commanded: true };
  return { ...record, ...commanded, state: stateOf(record.id, live) };
}

/** What came after the live release is staged, taken back or given up, so a rollback never goes there. */
function stateOf(release: string, live: FoundRun | undefined): ReleaseView["state"] {
  if (release === live?.release) return "live";
  return live !== undefined && release > live.release ? "rolled_back" : "good";
}

async function runsOf(ports: Ports, state: AppState): Promise<FoundRun[]> {
  const known = new Set(state.releases.map(({ id }) => id));
  const slots = await ports.traffic.assigned(state.app);
  const found: FoundRun[] = [];
  for (const run of await ports.privileged.runs(state.app)) {
    const release = releaseOfRun(run);
    if (!known.has(release) || (await ports.privileged.programs(state.app, run)) === undefined) continue;
    const instances = await ports.privileged.instances(await runSpec({ ports, state }, run));
    const own = instances.reduce((total, { address }) => total + (slots.get(address) ?? 0), 0);
    found.push({ run, release, slots: own });
  }
  return found;
}

/** What was found, for the person who asked for the repair. */
export function describeFound({ releases, live, warm }: AppState): string[] {
  return [
    `found ${releases.length} releases on the host`,
    live === null
      ? "found no release that runs: `cutover redeploy <app> <release>` starts one"
      : `found ${live} running with the traffic: it is live`,
    ...(warm === null ? [] : [`found ${warm.run} also up: it is warm`]),
  ];
}
