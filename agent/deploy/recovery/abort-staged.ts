import { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import type { AppStates } from "../app-states.ts";
import type { Work } from "../context.ts";
import { Deployment } from "../deployment.ts";
import { takeBack } from "../finish.ts";
import type { Turns } from "../queue/queue.ts";
import type { KnownDeployments } from "../queue/registry.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  known: KnownDeployments;
  turns: Turns;
}

/** Undoes a deployment that is at rest with its release staged: somebody aborts it, or its canary failed. @throws already_cut_over */
export async function unstage(
  { ports, states, known, turns, ...parts }: Parts,
  view: DeploymentView,
  reason: CutoverError,
): Promise<DeploymentView> {
  turns.endLease(view.app, view.id);
  const unlock = await turns.lock(view.app, () => view);
  try {
    const state = await states.of(view.app);
    if (state.staged?.deployment !== view.id) throw tooLate(view.id);
    const past = await ports.events.read(view.app, view.id);
    const { clock, events, apps } = ports;
    const deployment = known.recent(view.id) ?? new Deployment({ clock, files: events, view, past });
    const { run } = state.staged;
    state.journal = { deployment: deployment.view, run, from: state.live, brought: true, attempts: 0 };
    const log = parts.log.child({ app: view.app, deployment: view.id, kind: view.kind });
    // It goes on all the same: the undo writes the state again before each of its steps.
    const unwritten = (err: unknown) => log.error({ err }, "the journal could not be written");
    await ports.states.save(view.app, state).catch(unwritten);
    const settings = await apps.settings(view.app);
    const work: Work = { ports, settings, state, deployment, log, stopping: turns.stopping };
    known.add(deployment);
    await takeBack(work, reason);
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
