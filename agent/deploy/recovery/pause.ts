import { type DeployContext, saveJournal } from "../context.ts";
import { leaveForNextStart } from "../state.ts";
import type { ResumePoint } from "../state-format.ts";

/**
 * An agent that shuts down leaves a deployment at a safe point: at the end of the current step, or at its beginning if the
 * step only waits or can be repeated. The journal says what is left to do, and the next start does it.
 */

/** Whether a task has ended only because the agent shuts down. */
export function isPause(
  { deployment, stopping }: Pick<DeployContext, "deployment" | "stopping">,
  thrown: unknown,
): boolean {
  return stopping.aborted && thrown === stopping.reason && !deployment.signal.aborted;
}

/** Never throws: if it cannot be written, the next start finds the journal as after a kill. */
export async function pause(context: DeployContext, resumePoint: ResumePoint): Promise<void> {
  const { state, deployment, log } = context;
  if (state.journal === null) return;
  leaveForNextStart(state, resumePoint);
  try {
    await saveJournal(context);
    deployment.notice("The agent shuts down; the deployment goes on when it is back");
  } catch (err) {
    log.error({ err }, "what is left to do could not be written");
    deployment.notice(
      "The agent shuts down and cannot write what is left to do; its next start undoes or finishes this",
    );
  }
}
