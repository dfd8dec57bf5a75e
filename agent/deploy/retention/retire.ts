import type { Ports } from "../../contracts/ports.ts";
import { runSpec } from "../context.ts";
import { type AppState, keepReleases, runsInUse } from "../state.ts";
import { countOpen } from "../steps/drain.ts";
import { keptReleases } from "./kept-releases.ts";

interface Site {
  ports: Ports;
  state: AppState;
}

/**
 * Stops a run's instances and removes their programs.
 * @returns how many requests were still open on them, and are cut
 */
export async function retire({ ports, state }: Site, run: string): Promise<number> {
  const spec = await runSpec({ ports, state }, run);
  const addresses = (await ports.privileged.instances(spec)).map(({ address }) => address);
  const open = await countOpen(ports, addresses);
  await ports.privileged.removePrograms(state.app, run);
  return open;
}

/** Removes what no kept release needs: releases, environments, logs, events. What is in use is never touched. */
export async function prune({ ports, state }: Site, keep: number): Promise<void> {
  const { app } = state;
  const failed = state.releases.filter((release) => release.state === "failed");
  const { previous } = await ports.releases.published(app);
  for (const { id } of state.releases) {
    // Asked each time: somebody may pin one in between.
    if (!keptReleases(state, keep, previous).includes(id)) await ports.releases.remove(app, id);
  }
  const kept = keptReleases(state, keep, previous);
  const remembered = new Set([...kept, ...failed.slice(-keep).map(({ id }) => id)]);
  keepReleases(state, remembered);
  await ports.releases.prune(app);
  await ports.environments.prune(app, kept);
  await ports.logs.prune(app, [...remembered, ...runsInUse(state)]);
  const known = [
    ...state.history.map(({ id }) => id),
    ...(state.journal === null ? [] : [state.journal.deployment.id]),
  ];
  await ports.events.prune(app, known);
  await ports.traffic.tidy(app);
}
