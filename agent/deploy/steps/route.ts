import { siteOf } from "../../../shared/config.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { Ports, Route, RoutePart } from "../../contracts/ports.ts";
import type { RunSpec } from "../../contracts/privileged.ts";
import { runSpec } from "../context.ts";
import type { AppState } from "../state.ts";
import { noPorts } from "../watch/run-health.ts";

/** How many of the slots a canary has at a weight in percent: at least one, and never all. */
export function canarySlots(weight: number): number {
  return Math.min(Math.max(Math.round((weight * slotCount) / 100), 1), slotCount - 1);
}

interface Site {
  ports: Ports;
  state: AppState;
}

/** The run that gets the traffic, and the one that is staged. */
export type Holders = Pick<AppState, "live" | "staged">;

/** Where visitors go: to the live run, in part to a canary, and on the preview address to the staged run. */
export async function routeFor(site: Site, { live, staged }: Holders): Promise<Route> {
  const liveSpec = live === null ? null : await runSpec(site, live);
  const stagedSpec = staged === null ? null : await runSpec(site, staged.run);
  const shown = stagedSpec ?? liveSpec;
  return {
    main: liveSpec && (await mainPart(site, liveSpec, stagedSpec, staged?.weight ?? 0)),
    preview: shown && (await previewPart(site, shown)),
  };
}

/** Makes nginx do what the state says. Idempotent. */
export async function restoreTraffic(site: Site): Promise<void> {
  const { ports, state } = site;
  await ports.traffic.route(state.app, await routeFor(site, state));
}

async function mainPart(site: Site, live: RunSpec, canary: RunSpec | null, weight: number): Promise<RoutePart> {
  const slots = canary === null || weight === 0 ? 0 : canarySlots(weight);
  const shares = [await share(site, live, slotCount - slots)];
  if (canary !== null && slots > 0) shares.push(await share(site, canary, slots));
  return { config: live.config, shares };
}

async function previewPart(site: Site, spec: RunSpec): Promise<RoutePart | null> {
  if (siteOf(spec.config).preview === undefined) return null;
  return { config: spec.config, shares: [await share(site, spec, slotCount)] };
}

async function share({ ports }: Site, spec: RunSpec, slots: number) {
  const instances = await ports.privileged.instances(spec);
  if (instances.length === 0) {
    throw new CutoverError("internal", `No traffic can go to ${spec.run}: it is not started, so ${noPorts}.`, {
      unchanged: "The traffic goes where it went.",
    });
  }
  return { run: spec.run, instances, slots };
}
