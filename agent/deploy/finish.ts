import { asCutoverError, CutoverError, type ErrorParts } from "../../shared/errors.ts";
import { fromProblem } from "../../shared/problem.ts";
import { type DeployContext, reach, runSpec, saveJournal } from "./context.ts";
import { cutOver } from "./deploy.ts";
import { removeOrphansOf } from "./recovery/orphans.ts";
import { isPause, pause } from "./recovery/pause.ts";
import { undo } from "./recovery/undo.ts";
import { prune } from "./retention/retire.ts";
import {
  type AppState,
  closeJournal,
  type Journal,
  liveRelease,
  markUnwell,
  mayHaveCutOver,
  remember,
  updateJournal,
} from "./state.ts";
import type { ResumePoint } from "./state-format.ts";

/** A full disk or a lost answer may pass: so many tries at once, before the agent retries later. */
const attempts = 3;
const pauseMs = 500;

/** Records of failed releases that stay while no release was live yet. */
const failedKept = 5;

/** How a deployment's task ends well: all of the traffic moved, none of it, or a part. */
export type Ending = "succeeded" | "staged" | "canary";

/**
 * Runs a deployment's task to one of its ends, and writes that end. Never throws: the events say how it ended.
 * @param resumePoint what the next start goes on with if the agent shuts down in the middle
 */
export async function runToEnd(
  context: DeployContext,
  task: () => Promise<Ending>,
  resumePoint?: ResumePoint,
): Promise<void> {
  const { state, deployment, log } = context;
  try {
    await end(context, await task());
  } catch (thrown) {
    if (resumePoint !== undefined && isPause(context, thrown)) return pause(context, resumePoint);
    log.warn({ err: thrown, state: deployment.state }, "deployment failed");
    if (mayHaveCutOver(state)) await finishForward(context, thrown);
    else await failAndUndo(context, thrown);
  }
}

async function end(context: DeployContext, ending: Ending): Promise<void> {
  const { state, deployment } = context;
  if (ending === "succeeded") {
    await tidyAfterCutover(context);
    if (state.journal?.verdict === undefined) await reach(context, "done");
  } else {
    await tidySlots(context);
    // Nothing of it is final until here.
    deployment.signal.throwIfAborted();
  }
  const verdict = state.journal?.verdict;
  const live = liveRelease(state);
  if (ending === "succeeded" && live !== null && verdict?.back !== true) markUnwell(state, live, verdict !== undefined);
  if (verdict !== undefined) deployment.conclude("failed", fromProblem(verdict.failure));
  else deployment.conclude(ending === "canary" ? "succeeded" : ending);
  await close(context);
}

async function tidyAfterCutover(context: DeployContext): Promise<void> {
  await pruneFor(context, Number.POSITIVE_INFINITY);
}

/** Only a success prunes otherwise, so a failure prunes too. */
async function collectFailed(context: DeployContext): Promise<void> {
  if (context.state.journal !== null) await pruneFor(context, failedKept);
}

/**
 * What cannot be removed at the second try either is left to the next prune: the deployment itself has ended.
 * @param keepWithoutLive how many releases stay if none is live, which otherwise says it
 */
async function pruneFor(context: DeployContext, keepWithoutLive: number): Promise<void> {
  const { ports, state, log } = context;
  const tidied = async () => {
    const keep = state.live === null ? keepWithoutLive : (await runSpec(context, state.live)).config.keep;
    await prune({ ports, state }, keep);
  };
  await tidied()
    .catch(tidied)
    .catch((err: unknown) => log.warn({ err }, "prune failed"));
}

async function tidySlots({ ports, state, log }: DeployContext): Promise<void> {
  const tidied = () => ports.traffic.tidy(state.app);
  await tidied()
    .catch(tidied)
    .catch((err: unknown) => log.warn({ err }, "unused slots stay"));
}

/** Writes the end. A deployment that was refused before it touched the host has no journal, and writes nothing. */
async function close({ ports, state, deployment }: DeployContext): Promise<void> {
  remember(state, deployment.view);
  if (state.journal !== null) {
    // In one write: what held the app was this deployment.
    const reopen = closeJournal(state);
    try {
      await ports.states.save(state.app, state);
    } catch (thrown) {
      // It is still in the file, and the next attempt must know.
      reopen();
      throw thrown;
    }
  }
  deployment.announce();
}

/**
 * Undoes a deployment that has not cut over. If that fails again and again (supervisord is down), the journal stays, and the
 * agent goes on with it by itself.
 */
export async function failAndUndo(context: DeployContext, thrown: unknown): Promise<void> {
  const { ports, deployment, log, stopping } = context;
  const failure = asCutoverError(deployment.signal.aborted ? deployment.signal.reason : thrown);
  const reason = context.state.live === null ? ofFirstDeploy(failure) : failure;
  const outcome = reason.code === "aborted" ? "aborted" : "failed";
  deployment.conclude(outcome, reason);
  // Whatever the undo writes first says why: a start that goes on with it must not decide again what stays.
  updateJournal(context.state, deployment.record);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      await undo(context);
      await collectFailed(context);
      return await close(context);
    } catch (err) {
      deployment.trouble = asCutoverError(err).message;
      log.error({ err, attempt }, "undo failed");
      if (attempt < attempts) await ports.clock.sleep(pauseMs, stopping).catch(() => {});
    }
  }
  log.error("undo is tried again");
  await saveJournal(context).catch((failed: unknown) => log.error({ err: failed }, "the journal could not be written"));
  if (context.recovery === "retry") return;
  const rest = `not undone to the end yet: ${deployment.trouble?.replace(/\.$/, "")}. The agent does the rest by itself as soon as it can`;
  deployment.conclude(outcome, notUndoneYet(reason, context.state.live, rest));
  deployment.notice(rest);
  deployment.announce();
}

/** What a caller is told whose deployment failed before it was answered. */
export function refusal({ state }: DeployContext, thrown: unknown): unknown {
  const error = asCutoverError(thrown);
  if (error.code === "internal") return thrown;
  const unchanged = error.unchanged ?? "The live release goes on serving.";
  return state.live === null ? ofFirstDeploy(withParts(error, { unchanged })) : withParts(error, { unchanged });
}

/** The steps say that the live release goes on serving. Before the first one there is none. */
function ofFirstDeploy(failure: CutoverError): CutoverError {
  const unchanged = failure.unchanged
    ?.replace("The live release goes on serving, and its processes run as before", "No release is live yet")
    .replace(/^(Nothing [^;]+; )?[Tt]he live release goes on serving/, (_, first = "") =>
      first === "" ? "No release is live yet" : `${first}no release is live yet`,
    );
  return unchanged === undefined ? failure : withParts(failure, { unchanged });
}

/** The same error in other words. */
function withParts(error: CutoverError, { message, ...parts }: ErrorParts & { message?: string }): CutoverError {
  const { code, unchanged, fix, evidence, frame, cause } = error;
  return new CutoverError(code, message ?? error.message, {
    ...{ evidence, cause },
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    ...(frame !== undefined && { frame }),
    ...parts,
  });
}

/** What `unchanged` of the reason says is true only after the undo. */
function notUndoneYet(reason: CutoverError, live: string | null, rest: string): CutoverError {
  const serving = live === null ? "Nothing is live." : "The live release goes on serving.";
  return withParts(reason, { unchanged: `${serving} The deployment is ${rest}.` });
}

/** Once the cutover has begun there is only the way forward: a few more tries, then the agent goes on later. */
async function finishForward(context: DeployContext, thrown: unknown): Promise<void> {
  const { ports, state, deployment, log, stopping } = context;
  let reason = thrown;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (stopping.aborted || state.journal === null) return;
    try {
      const spec = await runSpec(context, state.journal.run);
      await cutOver(context, spec, { rollback: deployment.view.kind === "rollback" });
      // The attempt before may have left what the state does not know any more.
      await removeOrphansOf(context);
      return await end(context, "succeeded");
    } catch (err) {
      reason = err;
      log.warn({ err, attempt }, "finishing forward failed");
      // Nothing has moved after all.
      if (state.journal !== null && !mayHaveCutOver(state)) return failAndUndo(context, err);
      await ports.clock.sleep(pauseMs, stopping).catch(() => {});
    }
  }
  // That this agent shuts down is no failure of the deployment: the next start goes on.
  if (stopping.aborted) return;
  deployment.trouble = asCutoverError(reason).message;
  const verdict = state.journal?.verdict;
  deployment.conclude("failed", verdict === undefined ? afterCutover(reason) : notBackYet(verdict, state, reason));
  await saveJournal(context).catch((err: unknown) => log.error({ err }, "the journal could not be written"));
  if (context.recovery !== "retry") deployment.announce();
}

function afterCutover(reason: unknown): CutoverError {
  const failure = asCutoverError(reason);
  return withParts(failure, {
    message: `After the cutover had begun: ${failure.message}`,
    unchanged: "The site serves the old or the new release.",
    fix: `${failure.fix ?? "See the agent's log."} The agent finishes this deployment by itself as soon as it can.`,
  });
}

/** The release failed its watch, and the traffic could not go back, or not to the end. */
function notBackYet(
  { failure, back }: NonNullable<Journal["verdict"]>,
  { live, journal }: AppState,
  reason: unknown,
): CutoverError {
  const verdict = fromProblem(failure);
  if (!back) return verdict;
  const { message } = asCutoverError(reason);
  const moved = live === journal?.from;
  return new CutoverError(verdict.code, verdict.message, {
    unchanged: moved
      ? `All traffic went back to ${live}. What the failed release left is not removed yet: ${message}`
      : `The traffic could not go back to ${journal?.from} yet: ${message} Visitors still reach ${live}.`,
    fix: "The agent goes on with it by itself as soon as it can; `cutover repair` tries at once.",
    evidence: verdict.evidence,
    cause: reason,
  });
}
