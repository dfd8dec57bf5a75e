import { CutoverError } from "../../../shared/errors.ts";
import { fromProblem } from "../../../shared/problem.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { cutOver } from "../deploy.ts";
import { Deployment } from "../deployment.ts";
import { lastWritten } from "../event-log.ts";
import { failAndUndo, runToEnd } from "../finish.ts";
import { type AppState, countAttempt, hold, type Journal, mayHaveCutOver, uncountAttempt } from "../state.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { restoreTraffic } from "../steps/route.ts";
import { removeOrphans, removeOrphansOf } from "./orphans.ts";

const attemptLimit = 3;

interface Parts {
  ports: Ports;
  state: AppState;
  stopping: AbortSignal;
  /** This agent itself tries again what it could not end before. */
  retry: boolean;
}

/**
 * Recovers what stayed open: a deployment that may have cut over is finished, any other is undone, and orphans are removed.
 * Called with the app's lock, at start, before a deployment, and again and again while a deployment stays open.
 * @returns the deployment that was recovered
 */
export async function recover(parts: Parts, log: Logger): Promise<Deployment | undefined> {
  const { ports, state, stopping, retry } = parts;
  if (state.journal === null) {
    await restoreHost(parts, log);
    return undefined;
  }
  if (!retry) {
    // A resume point was either taken by now, or cannot be.
    countAttempt(state);
    await ports.states.save(state.app, state);
  }
  const context = await contextOf(parts, state.journal, log);
  await finishOrUndo(context, state.journal);
  // A stop during a recovery does not count as an attempt.
  if (stopping.aborted && !retry) uncountAttempt(state);
  if (!retry) await holdAfter(attemptLimit, context);
  return context.deployment;
}

/** Nothing is open: traffic, processes and programs become what the state says. */
async function restoreHost({ ports, state, stopping }: Parts, log: Logger): Promise<void> {
  // The agent may have been killed while a canary's share went back.
  await restoreTraffic({ ports, state });
  const live = state.live === null ? null : await runSpec({ ports, state }, state.live);
  const tell = (message: string) => log.info({ message }, "processes");
  await reconcileProcesses({ ports, state }, live, { tell, signal: stopping });
  await removeOrphans({ ports, state, stopping });
}

async function contextOf(
  { ports, state, stopping, retry }: Parts,
  journal: Journal,
  log: Logger,
): Promise<DeployContext> {
  const lastEvent = await lastWritten(ports.events, state.app, journal.deployment.id);
  // If its undo or its end did not succeed before, its failure is known already.
  const { failure, finished, ...open } = journal.deployment;
  const record = { ...open, outcome: "running" as const };
  const deployment = new Deployment({ clock: ports.clock, files: ports.events, record, lastEvent });
  const settings = await ports.apps.settings(state.app);
  const ownLog = log.child({ deployment: record.id, kind: record.kind });
  return { ports, settings, state, deployment, log: ownLog, stopping, recovery: retry ? "retry" : "start" };
}

async function finishOrUndo(context: DeployContext, { run, deployment: record }: Journal): Promise<void> {
  const { deployment, recovery, state } = context;
  // What is tried every minute does not fill the events.
  const tell = (message: string) => (recovery === "start" ? deployment.notice(message) : undefined);
  if (mayHaveCutOver(state)) {
    tell("The agent was restarted; the deployment had begun its cutover and is finished now, without a further watch");
    await runToEnd(context, async () => {
      await cutOver(context, await runSpec(context, run), { rollback: record.kind === "rollback" });
      // Before the journal is closed: what cannot be removed now is tried again only while the deployment is open.
      await removeOrphansOf(context);
      return "succeeded";
    });
  } else {
    tell("The agent was restarted before the cutover; the deployment is undone");
    const { failure } = record;
    await failAndUndo(context, failure === undefined ? interrupted() : fromProblem(failure));
  }
}

/** After three starts that could neither finish nor undo a deployment, the app is held. The agent goes on trying. */
async function holdAfter(limit: number, { ports, state, deployment, log }: DeployContext): Promise<void> {
  if (state.journal === null) return;
  if (state.journal.attempts >= limit) {
    const { trouble } = deployment;
    const { id, state: at } = state.journal.deployment;
    const times = `${state.journal.attempts} times`;
    const why = trouble === undefined ? "" : `, at last because: ${trouble}`;
    hold(state, `deployment ${id} stands at ${at} and could not be finished or undone ${times}${why}`);
    log.error({ app: state.app, held: state.held }, "app is held");
  }
  await ports.states.save(state.app, state);
  if (state.held === null) return;
  // Webhooks and followers hear of it as a failure: from now on every deployment is refused.
  deployment.conclude("failed", heldError(state.app, state.held));
  deployment.announce();
}

export function assertNotHeld({ app, held, journal }: AppState, trouble?: string): void {
  if (held === null && journal === null) return;
  const open = `deployment ${journal?.deployment.id} could not be finished or undone yet${trouble === undefined ? "" : `: ${trouble}`}`;
  throw heldError(app, held ?? open);
}

function heldError(app: string, why: string): CutoverError {
  return new CutoverError("app_held", `${app} takes no deployments: ${why.replace(/\.$/, "")}.`, {
    unchanged: "The live release goes on serving.",
    fix: `Correct the cause. The agent retries by itself; \`cutover repair ${app}\` tries at once.`,
  });
}

function interrupted(): CutoverError {
  return new CutoverError("agent_stopping", "The agent stopped in the middle of this deployment, before the cutover.", {
    unchanged: "The live release went on serving; what was started is removed.",
    fix: "Deploy again.",
  });
}
