import { CutoverError } from "../../../shared/errors.ts";
import { fromProblem } from "../../../shared/problem.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import { runSpec, type Work } from "../context.ts";
import { Deployment } from "../deployment.ts";
import { carryOut, hasCutOver, takeBack } from "../finish.ts";
import type { AppState } from "../state.ts";
import { finishForward } from "../steps/cutover.ts";
import { reconcileProcesses } from "../steps/processes.ts";
import { restoreTraffic } from "../steps/route.ts";
import { removeStrangers } from "./orphans.ts";

const attemptLimit = 3;

/**
 * Takes up what an earlier life of the agent left: a deployment that had cut over is finished, another one undone, and
 * runs that no state knows are removed. Called with the app's lock, at start and before a deployment.
 * @returns the deployment that was taken up
 */
export async function recover(
  { ports, state, stopping }: { ports: Ports; state: AppState; stopping: AbortSignal },
  log: Logger,
): Promise<Deployment | undefined> {
  const { journal, app } = state;
  if (journal === null) {
    // A canary's share that was being given back may not have moved yet.
    await restoreTraffic({ ports, state });
    const live = state.live === null ? null : await runSpec({ ports, state }, state.live);
    const tell = (message: string) => log.info({ message }, "processes");
    await reconcileProcesses({ ports, state }, live, { tell, signal: stopping });
    await removeStrangers({ ports, state, stopping });
    return undefined;
  }
  journal.attempts++;
  // Whoever could go on has done so before.
  delete journal.onward;
  await ports.states.save(app, state);
  const past = await ports.events.read(app, journal.deployment.id);
  // Where its undo or its end did not succeed before, its failure is known already.
  const { failure, finished, ...open } = journal.deployment;
  const view = { ...open, outcome: "running" as const };
  const deployment = new Deployment({ clock: ports.clock, files: ports.events, view, past });
  const settings = await ports.apps.settings(app);
  const ownLog = log.child({ deployment: view.id, kind: view.kind });
  const work: Work = { ports, settings, state, deployment, log: ownLog, stopping };
  if (hasCutOver(work)) {
    deployment.notice(
      "The agent was restarted; the deployment had cut over and is finished now, without a further watch",
    );
    await carryOut(work, async () => {
      await finishForward(work, await runSpec(work, journal.run), view.kind === "rollback");
      return "succeeded";
    });
  } else {
    deployment.notice("The agent was restarted before the cutover; the deployment is undone");
    await takeBack(work, failure === undefined ? interrupted() : fromProblem(failure));
  }
  await holdAfter(attemptLimit, { ports, state, deployment }, ownLog);
  if (state.journal === null) await removeStrangers({ ports, state, stopping });
  return deployment;
}

/** A deployment that can be neither finished nor undone three times holds the app until a person has looked. */
async function holdAfter(
  limit: number,
  { ports, state, deployment }: { ports: Ports; state: AppState; deployment: Deployment },
  log: Logger,
): Promise<void> {
  if (state.journal === null) return;
  if (state.journal.attempts >= limit) {
    const { trouble } = deployment;
    const { id, state: at } = state.journal.deployment;
    const times = `${state.journal.attempts} times`;
    const why = trouble === undefined ? "" : `, at last because: ${trouble}`;
    state.held = `deployment ${id} stands at ${at} and could not be finished or undone ${times}${why}`;
    log.error({ app: state.app, held: state.held }, "app is held");
  }
  await ports.states.save(state.app, state);
  if (state.held === null) return;
  // Whoever is told how deployments end is told of this too: from now on all of them are refused.
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
    fix: `Correct the cause, then run \`cutover repair ${app}\` on the host. The agent also tries again at each start.`,
  });
}

function interrupted(): CutoverError {
  return new CutoverError("agent_stopping", "The agent stopped in the middle of this deployment, before the cutover.", {
    unchanged: "The live release went on serving; what was started is removed.",
    fix: "Deploy again.",
  });
}
