import { type Config, onFirstHost } from "../../shared/config.ts";
import type { ReportedState } from "../../shared/deployment-states.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { Ports } from "../contracts/ports.ts";
import type { RunSpec } from "../contracts/privileged.ts";
import type { Logger } from "../logger.ts";
import type { AppSettings } from "../settings.ts";
import type { Deployment } from "./deployment.ts";
import { type AppState, findRelease, updateJournal } from "./state.ts";

/** What every step of a deployment has at hand. Only the holder of the app's lock has one. */
export interface DeployContext {
  ports: Ports;
  settings: AppSettings;
  state: AppState;
  deployment: Deployment;
  log: Logger;
  /** Aborted when the agent shuts down: the deployment then stops at its next safe point, and the next start goes on from there. */
  stopping: AbortSignal;
  /** Absent for a deployment that a call began. `start`: another agent left it. `retry`: this agent could not end it before. */
  recovery?: "start" | "retry";
}

/** Aborted when a wait must end: somebody aborted the deployment, or the agent shuts down. */
export function interruption({ deployment, stopping }: Pick<DeployContext, "deployment" | "stopping">): AbortSignal {
  // An abort that comes in the moment of the cutover is too late, and must not end what follows it.
  return deployment.isAtLeast("cutting_over") ? stopping : AbortSignal.any([deployment.signal, stopping]);
}

/** Tells that a state was reached, and writes the journal before the next step has an effect. */
export async function reach(context: DeployContext, state: ReportedState, note?: string): Promise<void> {
  context.deployment.reached(state, note);
  await saveJournal(context);
}

/** States whose file may say that the traffic is about to move, while the state in memory does not say so any more. */
const mayHaveIntent = new WeakSet<AppState>();

type JournalContext = Pick<DeployContext, "ports" | "state" | "deployment">;

/** Writes the state that the deployment has reached. */
export async function saveJournal({ ports, state, deployment }: JournalContext): Promise<void> {
  updateJournal(state, deployment.record);
  await ports.states.save(state.app, state);
  mayHaveIntent.delete(state);
}

/**
 * Writes that the traffic is about to move. From here on, the deployment is finished, also after a kill. It stays so until
 * `dropIntent`: no other write lowers what the journal says.
 */
export async function saveIntent(context: DeployContext): Promise<void> {
  // A cutover that is tried again may have moved the traffic before.
  const again = context.deployment.isAtLeast("cutting_over");
  context.deployment.cuttingOver();
  try {
    await saveJournal(context);
  } catch (thrown) {
    if (!again) await dropIntent(context);
    throw thrown;
  }
}

/**
 * Nothing has moved: the deployment is undone, as before the intent. Never throws: if that cannot be written now, the undo
 * writes it first.
 */
export async function dropIntent(context: DeployContext): Promise<void> {
  context.deployment.notCuttingOver();
  mayHaveIntent.add(context.state);
  await saveJournal(context).catch((err: unknown) => context.log.warn({ err }, "the journal could not be written"));
}

/** A start that finds the intent in the file finishes the deployment. So it must not be there when an undo removes anything. */
export async function assertNoIntent(context: JournalContext): Promise<void> {
  if (mayHaveIntent.has(context.state)) await saveJournal(context);
}

/** @throws CutoverError release_not_found */
export async function runSpec({ ports, state }: Pick<DeployContext, "ports" | "state">, run: string): Promise<RunSpec> {
  const release = releaseOfRun(run);
  const config = await ports.releases.config(state.app, release);
  const here = findRelease(state, release)?.first_host === false ? elsewhere(config) : config;
  return { app: state.app, run, release, config: here };
}

/** On another host than the fleet's first: without what runs there alone. */
function elsewhere(config: Config): Config {
  const here = Object.entries(config.processes).filter(([, process]) => !onFirstHost(process));
  return { ...config, processes: Object.fromEntries(here) };
}
