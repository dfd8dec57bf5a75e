import { saveJournal, type Work } from "../context.ts";
import type { Onward } from "../state.ts";

/**
 * An agent that shuts down leaves a deployment at a safe point: at the end of the step under way, or at its beginning
 * where the step only waits or may be done again. What is left to do is in the journal, and the next start goes on with it.
 */

/** Whether a story has ended because the agent shuts down, and for nothing else. */
export function isPause({ deployment, stopping }: Pick<Work, "deployment" | "stopping">, thrown: unknown): boolean {
  return stopping.aborted && thrown === stopping.reason && !deployment.signal.aborted;
}

/** Never throws: where it cannot be written, the next start finds the journal of an agent that was killed. */
export async function pause(work: Work, onward: Onward): Promise<void> {
  const { state, deployment, log } = work;
  if (state.journal === null) return;
  deployment.notice("The agent shuts down; the deployment goes on when it is back");
  state.journal.onward = onward;
  await saveJournal(work).catch((err: unknown) => log.error({ err }, "what is left to do could not be written"));
}
