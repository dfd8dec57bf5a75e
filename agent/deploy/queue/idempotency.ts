import type { Accepted } from "../../../shared/protocol.ts";
import type { AppStates } from "../app-states.ts";
import { aborted } from "../deployment.ts";
import type { DeployQueue } from "./queue.ts";

/** An upload that is repeated: the deployment that this bundle has already; undefined if the bundle must be read. */
export async function findSameBundle(
  queue: DeployQueue,
  states: AppStates,
  app: string,
  digest: string | undefined,
): Promise<Accepted | undefined> {
  if (digest === undefined) return undefined;
  const running = queue.running(app);
  if (running?.deployment.digest === digest) {
    const { id, release } = running.deployment.view;
    if (release !== undefined && running.deployment.isAtLeast("unpacked")) return { deployment: id, release };
    // There is a second upload because the first sender has lost its connection.
    running.deployment.abort(aborted("a second upload of the same bundle"));
    await running.ended;
    return undefined;
  }
  const state = await states.of(app);
  const known = state.releases.find((release) => release.digest === digest && release.state !== "failed");
  // Only while nothing has happened since: after a later rollback the old answer would be wrong.
  const [last] = state.history;
  if (known === undefined || last?.kind !== "deploy" || last.release !== known.id) return undefined;
  if (known.state !== "live" && known.state !== "staged") return undefined;
  return { deployment: last.id, release: known.id };
}
