import { siteOf } from "../../../shared/config.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { slotCount } from "../../../shared/slots.ts";
import type { Ports, Route, RoutePart } from "../../contracts/ports.ts";
import type { Instance, RunSpec } from "../../contracts/privileged.ts";
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

/**
 * Where visitors go: to the live run, in part to a canary, and on the preview address to the staged run.
 * @throws CutoverError internal if the live run is not started
 */
export async function routeFor(site: Site, holders: Holders): Promise<Route> {
  const route = await findRoute(site, holders);
  if (route !== undefined) return route;
  throw new CutoverError("internal", `No traffic can go to ${holders.live}: it is not started, so ${noPorts}.`, {
    unchanged: "The traffic goes where it went.",
  });
}

/**
 * Makes nginx do what the state says. Idempotent. After a removal of the app that failed in the middle, nginx may lead nowhere
 * for it. That stays so if nobody knows the ports of the live run, or if the host forbids by now what its release asks for.
 */
export async function restoreTraffic(site: Site): Promise<void> {
  const { ports, state } = site;
  const { app } = state;
  const route = await findRoute(site, state);
  if (route === undefined) return;
  try {
    await ports.traffic.route(app, { ...route, keepNames: true });
  } catch (thrown) {
    const nowhere = route.main !== null && isForbidden(thrown) && (await ports.traffic.assigned(app)).size === 0;
    if (!nowhere) throw thrown;
    await ports.traffic.route(app, { main: null, preview: null });
  }
}

/**
 * The host's owner has changed what the app may have, or another app has got a name that a release without a site had given up:
 * another try would get the same answer.
 */
export function isForbidden(thrown: unknown): thrown is CutoverError {
  const codes = ["listen_not_allowed", "domain_not_allowed", "domain_taken", "peer_not_allowed", "certificate_missing"];
  return thrown instanceof CutoverError && codes.includes(thrown.code);
}

/** undefined if the live run has no ports. A staged run without ports is left out. */
async function findRoute(site: Site, { live, staged }: Holders): Promise<Route | undefined> {
  const main = live === null ? null : await placeOf(site, live);
  if (main?.instances.length === 0) return undefined;
  const other = staged === null ? null : await placeOf(site, staged.run);
  const canary = other?.instances.length === 0 ? null : other;
  const shown = canary ?? main;
  return {
    main: main && mainPart(main, canary, staged?.weight ?? 0),
    preview: shown && previewPart(shown),
  };
}

interface Place {
  spec: RunSpec;
  /** None if the run has no ports. */
  instances: Instance[];
}

async function placeOf(site: Site, run: string): Promise<Place> {
  const spec = await runSpec(site, run);
  return { spec, instances: await site.ports.privileged.instances(spec) };
}

function mainPart(live: Place, canary: Place | null, weight: number): RoutePart {
  const slots = canary === null || weight === 0 ? 0 : canarySlots(weight);
  const shares = [share(live, slotCount - slots)];
  if (canary !== null && slots > 0) shares.push(share(canary, slots));
  return { config: live.spec.config, shares };
}

function previewPart(shown: Place): RoutePart | null {
  const { config } = shown.spec;
  return siteOf(config).preview === undefined ? null : { config, shares: [share(shown, slotCount)] };
}

function share({ spec, instances }: Place, slots: number) {
  return { run: spec.run, instances, slots };
}
