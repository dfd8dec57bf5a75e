import type { BundleSpec } from "./bundle.ts";
import { Play } from "./play.ts";

/** I7: what one app leaves in memory and on disk after many deployments. */
export interface Left {
  deployments: number;
  releases: number;
  records: number;
  /** Files of events. */
  events: number;
  slotDirs: number;
  stateBytes: number;
  /** Megabytes of heap for what is still referenced; 0 if nobody can collect the garbage. */
  heap: number;
}

/**
 * Many deployments of one app, one after the other. Kinds of bundles take turns.
 * @param outputLines how much the release command prints
 */
export async function manyDeployments(count: number, kinds: BundleSpec[], outputLines = 0): Promise<Left> {
  const play = new Play({ seed: 1, operations: [] });
  play.host.outputLines = outputLines;
  play.agent.start();
  await play.pass(500);
  let deployments = 0;
  for (let at = 0; at < count; at++) {
    const kind = kinds[at % kinds.length] ?? {};
    void play.deploy("shop", { watch: "0s", keepWarm: "0s", ...kind }, { waitMs: 60_000 });
    // What is remembered by the invariants is no memory of the agent.
    await play.pass(60_000, () => play.host.watcher.ended.size > 0);
    deployments += play.host.watcher.forgetEnded();
    if (play.host.watcher.failure !== undefined) throw new Error(play.host.watcher.failure.message);
  }
  await play.pass(10_000);
  const disk = play.host.disk("shop");
  const state = JSON.parse(disk.state ?? "{}") as { releases?: unknown[] };
  const events = disk.events.size;
  // The simulated disk is in memory too: only the agent's own is weighed.
  disk.events.clear();
  const left = {
    deployments,
    releases: disk.releases.size,
    records: state.releases?.length ?? 0,
    events,
    slotDirs: disk.slotDirs.size,
    stateBytes: disk.state?.length ?? 0,
    heap: heapMegabytes(),
  };
  play.agent.kill();
  return left;
}

function heapMegabytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return 0;
  gc();
  return process.memoryUsage().heapUsed / 1e6;
}
