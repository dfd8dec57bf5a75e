import type { Accepted } from "../../../shared/protocol.ts";
import type { AppStates } from "../app-states.ts";
import { aborted } from "../deployment.ts";
import type { Turns } from "./queue.ts";

/** A retried upload: the deployment that this bundle has already, or undefined when it has to be read. */
export async function sameBundle(
  turns: Turns,
  states: AppStates,
  app: string,
  digest: string | undefined,
): Promise<Accepted | undefined> {
  if (digest === undefined) return undefined;
  const running = turns.running(app);
  if (running?.deployment.digest === digest) {
    const { id, release } = running.deployment.view;
    if (release !== undefined && running.deployment.has("unpacked")) return { deployment: id, release };
    // The first sender's connection is lost, or there would be no second one.
    running.deployment.abort(aborted("a second upload of the same bundle"));
    await running.ended;
    return undefined;
  }
  const state = await states.of(app);
  const known = state.releases.find((release) => release.digest === digest && release.state !== "failed");
  const past = state.history.find(({ release, kind }) => kind === "deploy" && release === known?.id);
  return known !== undefined && past !== undefined ? { deployment: past.id, release: known.id } : undefined;
}
