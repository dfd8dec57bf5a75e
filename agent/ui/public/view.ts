import type { AppView, ReleaseView, RequestsView } from "../../../shared/protocol.ts";
import type { Progress } from "../parts/deployment.ts";
import type { SlotsLook } from "../parts/slots.ts";

/**
 * All that the public page knows of an app. What is not named here cannot be shown: who deployed, from which repository and
 * commit, what a program printed, why something failed, a deployment's id (which opens its events), addresses, processes.
 */
export interface PublicApp {
  app: string;
  live: AppView["live"];
  /** Whether the site is closed for maintenance. */
  closed: boolean;
  instances: SlotsLook["view"]["instances"];
  releases: Pick<ReleaseView, "id" | "state" | "created">[];
  deployment: Progress | null;
}

export function publicApp({ app, live, maintenance, instances, releases, deployment }: AppView): PublicApp {
  return {
    ...{ app, live, closed: maintenance !== undefined },
    instances: instances.filter(({ process }) => process === undefined).map(({ run, slots }) => ({ run, slots })),
    releases: releases.map(({ id, state, created }) => ({ id, state, created })),
    deployment: deployment === null ? null : progressOf(deployment),
  };
}

function progressOf({ kind, release, state, outcome, started, weight, phases }: Progress): Progress {
  return {
    ...{ kind, state, outcome, started },
    ...(release !== undefined && { release }),
    ...(weight !== undefined && { weight }),
    phases: phases.map(({ state, took }) => ({ state, took })),
  };
}

/** Without the paths that failed, which can contain what only their visitor may know, and without why requests are missing. */
export function publicRequests({ seconds, gap, runs }: RequestsView): RequestsView {
  return {
    seconds,
    ...(gap !== undefined && { gap: "" }),
    runs: runs.map(({ role, run, release, requests, failed, p50, p95 }) => ({
      ...{ role, run, release, requests, failed, failing: [] },
      ...(p50 !== undefined && { p50 }),
      ...(p95 !== undefined && { p95 }),
    })),
  };
}
