import { milliseconds } from "../../../shared/duration.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { Ports } from "../../contracts/ports.ts";
import { runSpec } from "../context.ts";
import { type AppState, emptyState } from "../state.ts";

/** What a run that is on the host says of itself. */
interface FoundRun {
  run: string;
  release: string;
  /** How many of nginx's slots lead to it. */
  slots: number;
}

/**
 * An app's state from what is on the host: its releases, its links, what supervisor runs, where the slots lead. Changes
 * nothing. What no file but the state tells is lost: history, pins, and which of the releases were rolled back.
 */
export async function stateFromHost(ports: Ports, app: string): Promise<AppState> {
  const state = emptyState(app);
  const links = await ports.releases.published(app);
  const found = (await ports.releases.list(app)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  // Until their states are known they only have to be there, for their runs to be found.
  state.releases = found.map((release) => ({ ...release, state: "good", live_at: release.created }));
  const up = await runsOf(ports, state);
  const serving = up.filter(({ slots }) => slots > 0).toSorted((a, b) => b.slots - a.slots);
  const live = serving[0] ?? up.find(({ release }) => release === links.current);
  for (const record of state.releases) {
    const { config } = await runSpec({ ports, state }, record.id);
    if (config.release !== undefined) record.commanded = true;
    if (record.id === live?.release) record.state = "live";
    // It came after what is live: staged, taken back, or given up. A rollback never goes there.
    else if (live !== undefined && record.id > live.release) record.state = "rolled_back";
  }
  if (live === undefined) return state;
  state.live = live.run;
  // A canary loses its share and finishes what it has in hand; the release before can be gone back to.
  const canary = serving.find(({ run }) => run !== live.run);
  const warm = canary ?? up.find(({ run, release }) => run !== live.run && release === links.previous);
  if (warm !== undefined) {
    const { config } = await runSpec({ ports, state }, live.run);
    const until = new Date(ports.clock.now() + milliseconds(config.keep_warm)).toISOString();
    state.warm = { run: warm.run, until };
  }
  return state;
}

async function runsOf(ports: Ports, state: AppState): Promise<FoundRun[]> {
  const known = new Set(state.releases.map(({ id }) => id));
  const slots = await ports.traffic.assigned(state.app);
  const found: FoundRun[] = [];
  for (const run of await ports.privileged.runs(state.app)) {
    const release = releaseOfRun(run);
    if (!known.has(release) || (await ports.privileged.programs(state.app, run)) === undefined) continue;
    const instances = await ports.privileged.instances(await runSpec({ ports, state }, run));
    const held = instances.reduce((total, { address }) => total + (slots.get(address) ?? 0), 0);
    found.push({ run, release, slots: held });
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
    ...(warm === null ? [] : [`found ${warm.run} up beside it: it is warm`]),
  ];
}
