import { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import type { AppStates } from "../app-states.ts";
import type { DeployContext } from "../context.ts";
import { Deployment } from "../deployment.ts";
import { lastWritten } from "../event-log.ts";
import { failAndUndo } from "../finish.ts";
import type { DeployQueue } from "../queue/queue.ts";
import type { DeploymentRegistry } from "../queue/registry.ts";
import { openJournal } from "../state.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  registry: DeploymentRegistry;
  queue: DeployQueue;
}

/** Undoes a deployment that has ended with its release staged: somebody aborts it, or its canary failed. @throws already_cut_over */
export async function abortStaged(
  { ports, states, registry, queue, ...parts }: Parts,
  view: DeploymentView,
  reason: CutoverError,
): Promise<DeploymentView> {
  queue.endLease(view.app, view.id);
  const unlock = await queue.lock(view.app, () => view);
  try {
    const state = await states.of(view.app);
    await queue.assertFree(state);
    if (state.staged?.deployment !== view.id) throw tooLate(view.id);
    const { clock, events, apps } = ports;
    const lastEvent = await lastWritten(events, view.app, view.id);
    const deployment = registry.recent(view.id) ?? new Deployment({ clock, files: events, record: view, lastEvent });
    const { run } = state.staged;
    openJournal(state, deployment.record, { run, ownsRelease: true });
    const log = parts.log.child({ app: view.app, deployment: view.id, kind: view.kind });
    // A failure does not stop it: the undo writes the state again before each of its steps.
    const unwritten = (err: unknown) => log.error({ err }, "the journal could not be written");
    await ports.states.save(view.app, state).catch(unwritten);
    const settings = await apps.settings(view.app);
    const context: DeployContext = { ports, settings, state, deployment, log, stopping: queue.stopping };
    registry.add(deployment);
    await failAndUndo(context, reason);
    return deployment.view;
  } finally {
    unlock();
  }
}

export function tooLate(id: string): CutoverError {
  return new CutoverError("already_cut_over", `Deployment ${id} has ended or has cut over, so it cannot be aborted.`, {
    unchanged: "Nothing was changed.",
    fix: "Use `rollback` to go back to the release before.",
  });
}

/** @throws CutoverError already_cut_over if it has ended in another way, in the moment of the abort */
export function abortedOrTooLate(view: DeploymentView): DeploymentView {
  if (view.outcome === "succeeded") throw tooLate(view.id);
  return view;
}
