import { protocolOf } from "../../../shared/config-server.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { runSpec, saveJournal, type Work } from "../context.ts";
import { removeStrangers } from "../recovery/orphans.ts";
import { setReleaseState } from "../state.ts";
import { drainRun } from "./drain.ts";
import { allSlots, canarySlots, restoreTraffic, routeFor } from "./route.ts";

/** A release that is ready beside the live one: without traffic, or as a canary with a part of it. */

export async function stage(work: Work, spec: RunSpec): Promise<"staged"> {
  const { state, deployment, ports } = work;
  deployment.signal.throwIfAborted();
  await ports.releases.sync(spec.app, spec.release);
  await ports.releases.publish(spec.app, { staged: spec.release });
  state.staged = { run: spec.run, deployment: deployment.id, weight: 0 };
  await restoreTraffic(work);
  setReleaseState(state, spec.release, "staged");
  return "staged";
}

/** Gives the staged run this percentage of the traffic. Its instances are healthy. */
export async function setWeight(work: Work, spec: RunSpec, weight: number): Promise<"canary"> {
  const { state, deployment, ports } = work;
  await assertCanary(work, spec);
  deployment.signal.throwIfAborted();
  if (state.staged !== null) state.staged = { ...state.staged, weight };
  await saveJournal(work);
  await ports.releases.publish(spec.app, { canary: spec.release });
  const { reloaded } = await ports.traffic.route(spec.app, await routeFor(work, state));
  if (reloaded) deployment.notice("nginx was reloaded, since the instances listen on ports");
  deployment.notice(`${spec.run} has ${weight} % of the traffic: ${canarySlots(weight)} of ${allSlots} slots`);
  return "canary";
}

/** @throws CutoverError canary_impossible */
export async function assertCanary(work: Pick<Work, "ports" | "state">, spec: RunSpec): Promise<void> {
  const { live, staged } = work.state;
  const refuse = (why: string, fix: string) =>
    new CutoverError("canary_impossible", `${spec.release} cannot have a part of the traffic: ${why}.`, {
      unchanged: "Nothing was changed.",
      fix,
    });
  if (live === null) throw refuse("no release is live", "Activate it with all of the traffic.");
  if (staged?.run !== spec.run)
    throw refuse("it is not staged", "Stage it first, or activate it with all of the traffic.");
  const { config } = await runSpec(work, live);
  const [from, to] = [protocolOf(config.server), protocolOf(spec.config.server)];
  if (from !== to) {
    const why = `it speaks ${to} and the live release ${from}, and one upstream speaks one protocol`;
    throw refuse(why, "Activate it with all of the traffic.");
  }
}

type Site = Pick<Work, "ports" | "state" | "stopping">;

/**
 * Gives the traffic of what is staged back to the live run, and waits until its last connection is gone.
 * @returns how many requests are still open on it
 */
export async function withdraw(site: Site): Promise<number> {
  const { ports, state } = site;
  const { app, staged, live } = state;
  if (staged === null) return 0;
  state.staged = { ...staged, weight: 0 };
  await ports.states.save(app, state);
  await ports.traffic.route(app, await routeFor(site, { live, staged: null }));
  await ports.releases.publish(app, { canary: null, staged: null });
  if (staged.weight === 0 || live === null) return 0;
  return (await drainRun(site, await runSpec(site, staged.run), (await runSpec(site, live)).config)).open;
}

/** Removes what is staged, with its release, for another to take its place. */
export async function replaceStaged(work: Work): Promise<void> {
  const { state, deployment } = work;
  if (state.staged === null) return;
  const { run } = state.staged;
  setReleaseState(state, releaseOfRun(run), "failed");
  state.staged = null;
  await saveJournal(work);
  const open = await removeStrangers(work);
  if (open > 0) deployment.cut(open);
  deployment.notice(`${run} was staged and is replaced`);
}
