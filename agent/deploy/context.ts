import type { ReportedState } from "../../shared/deployment-states.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { Ports } from "../contracts/ports.ts";
import type { RunSpec } from "../contracts/privileged.ts";
import type { Logger } from "../logger.ts";
import type { AppSettings } from "../settings.ts";
import type { Deployment } from "./deployment.ts";
import { type AppState, updateJournal } from "./state.ts";

/** What every step of a deployment has at hand. Only the holder of the app's lock has one. */
export interface DeployContext {
  ports: Ports;
  settings: AppSettings;
  state: AppState;
  deployment: Deployment;
  log: Logger;
  /** Aborted when the agent shuts down: the deployment then stops at its next safe point, and the next start goes on from there. */
  stopping: AbortSignal;
}

/** Aborted when a wait must end: somebody aborted the deployment, or the agent shuts down. */
export function interruption({ deployment, stopping }: Pick<DeployContext, "deployment" | "stopping">): AbortSignal {
  return AbortSignal.any([deployment.signal, stopping]);
}

/** Tells that a state was reached, and writes the journal before the next step has an effect. */
export async function reach(context: DeployContext, state: ReportedState, note?: string): Promise<void> {
  context.deployment.reached(state, note);
  await saveJournal(context);
}

/** Writes the state that the deployment has reached. */
export async function saveJournal({ ports, state, deployment }: DeployContext): Promise<void> {
  updateJournal(state, deployment.record);
  await ports.states.save(state.app, state);
}

/** Writes that the traffic is about to move. From here on, a kill makes the next agent finish the deployment. */
export async function saveIntent({ ports, state, deployment }: DeployContext): Promise<void> {
  updateJournal(state, { ...deployment.record, state: "cutting_over" });
  await ports.states.save(state.app, state);
}

/** @throws CutoverError release_not_found */
export async function runSpec({ ports, state }: Pick<DeployContext, "ports" | "state">, run: string): Promise<RunSpec> {
  const release = releaseOfRun(run);
  const config = await ports.releases.config(state.app, release);
  return { app: state.app, run, release, config };
}
