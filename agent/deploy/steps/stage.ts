import { protocolOf } from "../../../shared/config-server.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { type DeployContext, runSpec, saveJournal } from "../context.ts";
import { drainIfUp, removeOrphans } from "../recovery/orphans.ts";
import { liveRelease, markFailed, markStaged, stageRun, unstage, weighStaged } from "../state.ts";
import { canarySlots, restoreTraffic, routeFor } from "./route.ts";

/** A release that is ready next to the live one: without traffic, or as a canary with a part of it. */

export async function stage(context: DeployContext, spec: RunSpec): Promise<"staged"> {
  const { state, deployment, ports } = context;
  deployment.signal.throwIfAborted();
  await ports.releases.sync(spec.app, spec.release);
  await ports.releases.publish(spec.app, { staged: spec.release });
  stageRun(state, spec.run, deployment.id);
  await restoreTraffic(context);
  markStaged(state, spec.release);
  return "staged";
}

/** Gives the staged run this percentage of the traffic. Its instances are healthy. */
export async function setWeight(context: DeployContext, spec: RunSpec, weight: number): Promise<"canary"> {
  const { state, deployment, ports } = context;
  await assertCanary(context, spec);
  deployment.signal.throwIfAborted();
  weighStaged(state, weight);
  await saveJournal(context);
  await ports.releases.publish(spec.app, { canary: spec.release });
  const { reloaded } = await ports.traffic.route(spec.app, await routeFor(context, state));
  if (reloaded) deployment.notice("nginx was reloaded, since the instances listen on ports");
  deployment.notice(`${spec.run} has ${weight} % of the traffic: ${canarySlots(weight)} of ${slotCount} slots`);
  return "canary";
}

/** @throws CutoverError canary_impossible */
export async function assertCanary(context: Pick<DeployContext, "ports" | "state">, spec: RunSpec): Promise<void> {
  const { live, staged } = context.state;
  const refuse = (why: string, fix: string) =>
    new CutoverError("canary_impossible", `${spec.release} cannot have a part of the traffic: ${why}.`, {
      unchanged: "Nothing was changed.",
      fix,
    });
  if (live === null)
    throw refuse(
      "no release is live that could have the rest",
      "Deploy the first release without `canary`. On the host, `cutover activate` gives a staged one all of the traffic.",
    );
  if (staged?.run !== spec.run)
    throw refuse("it is not staged", "Stage it first, or activate it with all of the traffic.");
  const { config } = await runSpec(context, live);
  const [from, to] = [protocolOf(config.server), protocolOf(spec.config.server)];
  if (from !== to) {
    const why = `it speaks ${to} and the live release ${from}, and one upstream speaks one protocol`;
    throw refuse(why, "Activate it with all of the traffic.");
  }
}

type Site = Pick<DeployContext, "ports" | "state" | "stopping">;

/**
 * Gives the traffic of what is staged back to the live run, and waits until its last connection is gone. An earlier attempt may
 * have given it back already and was killed before the end of the wait, so the weight does not say whether there is any.
 * @returns how many requests are still open on it
 */
export async function drainStaged(site: Site): Promise<number> {
  const { ports, state } = site;
  const { app, staged } = state;
  if (staged === null) return 0;
  weighStaged(state, 0);
  await ports.states.save(app, state);
  await restoreTraffic({ ports, state: { ...state, staged: null } });
  await ports.releases.publish(app, { canary: null, staged: null });
  return drainIfUp(site, staged.run);
}

/** Removes what is staged, and its release, so that another can take its place. */
export async function removeStaged(context: DeployContext): Promise<void> {
  const { state, deployment } = context;
  if (state.staged === null) return;
  const { run } = state.staged;
  // Its release may be live by now, on other instances.
  if (releaseOfRun(run) !== liveRelease(state)) markFailed(state, releaseOfRun(run));
  unstage(state);
  await saveJournal(context);
  const open = await removeOrphans(context);
  if (open > 0) deployment.cut(open);
  deployment.notice(`${run} was staged and is replaced`);
}
