import { type Config, siteOf } from "../../shared/config.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { DeploymentState } from "../../shared/protocol.ts";
import type { Ports } from "../contracts/ports.ts";
import type { RunSpec } from "../contracts/privileged.ts";
import type { Logger } from "../logger.ts";
import type { AppSettings } from "../settings.ts";
import type { Deployment } from "./deployment.ts";
import type { AppState } from "./state.ts";

/** What every step of a deployment has at hand. Only the holder of the app's lock has one. */
export interface Work {
  ports: Ports;
  settings: AppSettings;
  state: AppState;
  deployment: Deployment;
  log: Logger;
  /** Aborted when the agent shuts down: the deployment then stops at its next safe point, and the next start goes on from there. */
  stopping: AbortSignal;
}

/** Ends what only waits: the deployment was aborted, or the agent shuts down. */
export function interruption({ deployment, stopping }: Pick<Work, "deployment" | "stopping">): AbortSignal {
  return AbortSignal.any([deployment.signal, stopping]);
}

/** Says that a state was reached, and writes the journal before the next step has an effect. */
export async function reach(work: Work, state: DeploymentState, note?: string): Promise<void> {
  work.deployment.reached(state, note);
  await saveJournal(work);
}

/** @param intent a state that is about to be entered, for the one step that cannot be undone */
export async function saveJournal({ ports, state, deployment }: Work, intent?: DeploymentState): Promise<void> {
  if (state.journal !== null) {
    const view = deployment.view;
    state.journal.deployment = intent === undefined ? view : { ...view, state: intent };
  }
  await ports.states.save(state.app, state);
}

export async function runSpec({ ports, state }: Pick<Work, "ports" | "state">, run: string): Promise<RunSpec> {
  const release = releaseOfRun(run);
  const config = await ports.releases.config(state.app, release);
  return { app: state.app, run, release, config };
}

/** The name by which the app is asked for its health: what a visitor would ask for. */
export function healthHost(config: Config, settings: AppSettings): string {
  const names = [...(siteOf(config).server_name ?? []), ...settings.domains];
  return config.health.host ?? names.find((name) => name !== "_" && !name.startsWith("*")) ?? "localhost";
}

export function sum(counts: Map<string, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
