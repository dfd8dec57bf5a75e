import { asCutoverError, CutoverError } from "../../shared/errors.ts";
import { fromProblem } from "../../shared/problem.ts";
import { reach, runSpec, saveJournal, type Work } from "./context.ts";
import { isPause, pause } from "./recovery/pause.ts";
import { undo } from "./recovery/undo.ts";
import { prune } from "./retention/retire.ts";
import { findRelease, liveRelease, type Onward, remember } from "./state.ts";
import { finishForward } from "./steps/cutover.ts";

/** A full disk or a lost answer may be a moment's: this often an end is tried before it is left to the next start. */
const attempts = 3;
const pauseMs = 500;

/** How a story ends well: all traffic moved, none, or a part of it. */
export type Ending = "succeeded" | "staged" | "canary";

/**
 * Runs a deployment's story to one of its ends, and writes that end. Never throws: how it ended is in the events.
 * @param onward what the next start goes on with, where the agent shuts down in the middle
 */
export async function carryOut(work: Work, story: () => Promise<Ending>, onward?: Onward): Promise<void> {
  const { deployment, log } = work;
  try {
    await end(work, await story());
  } catch (thrown) {
    if (onward !== undefined && isPause(work, thrown)) return pause(work, onward);
    log.warn({ err: thrown, state: deployment.state }, "deployment did not go through");
    if (hasCutOver(work)) await goOn(work, thrown);
    else await takeBack(work, thrown);
  }
}

/** From the journal's intent on, not only from the moved slots: what may have moved is finished, never undone. */
export function hasCutOver({ state }: Pick<Work, "state">): boolean {
  const at = state.journal?.deployment.state;
  return at === "cut_over" || at === "drained" || at === "retired" || at === "done";
}

async function end(work: Work, ending: Ending): Promise<void> {
  const { ports, state, deployment, log } = work;
  if (ending === "succeeded") {
    const keep = state.live === null ? Number.POSITIVE_INFINITY : (await runSpec(work, state.live)).config.keep;
    // What cannot be removed at the second try either is taken again by the next prune; the deployment itself is done.
    const tidied = () => prune({ ports, state }, keep);
    await tidied()
      .catch(tidied)
      .catch((err: unknown) => log.warn({ err }, "prune failed"));
    if (state.journal?.verdict === undefined) await reach(work, "done");
  } else {
    const tidied = () => ports.traffic.tidy(state.app);
    await tidied()
      .catch(tidied)
      .catch((err: unknown) => log.warn({ err }, "unused slots stay"));
  }
  const verdict = state.journal?.verdict;
  const live = findRelease(state, liveRelease(state) ?? "");
  if (ending === "succeeded" && live !== undefined) {
    if (verdict?.back === false) live.unwell = true;
    else if (verdict === undefined) delete live.unwell;
  }
  if (verdict !== undefined) deployment.conclude("failed", fromProblem(verdict.failure));
  else deployment.conclude(ending === "canary" ? "succeeded" : ending);
  await close(work);
}

async function close({ ports, state, deployment }: Work): Promise<void> {
  remember(state, deployment.view);
  // Refused before it touched the host: then the host is not touched now either.
  const { journal, held } = state;
  if (journal !== null) {
    // In one write: what held the app was this deployment.
    Object.assign(state, { journal: null, held: null });
    try {
      await ports.states.save(state.app, state);
    } catch (thrown) {
      // It is still in the file, and whoever tries again must know.
      Object.assign(state, { journal, held });
      throw thrown;
    }
  }
  deployment.announce();
}

/**
 * Undoes a deployment that has not cut over. When even that fails again and again (supervisord is down), the journal stays, and the next
 * start of the agent or the next deployment takes it up.
 */
export async function takeBack(work: Work, thrown: unknown): Promise<void> {
  const { ports, deployment, log, stopping } = work;
  const reason = deployment.signal.aborted ? deployment.signal.reason : thrown;
  deployment.conclude(asCutoverError(reason).code === "aborted" ? "aborted" : "failed", reason);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      await undo(work);
      return await close(work);
    } catch (err) {
      deployment.trouble = asCutoverError(err).message;
      log.error({ err, attempt }, "undo failed");
      if (attempt < attempts) await ports.clock.sleep(pauseMs, stopping).catch(() => {});
    }
  }
  log.error("undo is tried again by the next start or deployment");
  const why = deployment.trouble?.replace(/\.$/, "");
  deployment.notice(
    `not undone to the end yet: ${why}. The agent does the rest at its next start or before the next deployment`,
  );
  await saveJournal(work).catch((failed: unknown) => log.error({ err: failed }, "the journal could not be written"));
  deployment.announce();
}

/** Once the cutover has begun there is no way but forward: again a few times, then the next start of the agent goes on. */
async function goOn(work: Work, thrown: unknown): Promise<void> {
  const { ports, state, deployment, log, stopping } = work;
  let reason = thrown;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (stopping.aborted || state.journal === null) return;
    try {
      const spec = await runSpec(work, state.journal.run);
      await finishForward(work, spec, deployment.view.kind === "rollback");
      return await end(work, "succeeded");
    } catch (err) {
      reason = err;
      log.warn({ err, attempt }, "finishing forward failed");
      await ports.clock.sleep(pauseMs, stopping).catch(() => {});
    }
  }
  deployment.trouble = asCutoverError(reason).message;
  const verdict = state.journal?.verdict;
  deployment.conclude("failed", verdict === undefined ? afterCutover(reason) : fromProblem(verdict.failure));
  await saveJournal(work).catch((err: unknown) => log.error({ err }, "the journal could not be written"));
  deployment.announce();
}

function afterCutover(reason: unknown): CutoverError {
  const { code, message, fix, evidence, cause } = asCutoverError(reason);
  return new CutoverError(code, `After the cutover had begun: ${message}`, {
    unchanged: "The site serves the old or the new release.",
    fix: `${fix ?? "See the agent's log."} The agent finishes this deployment at its next start or before the next deployment.`,
    evidence,
    cause,
  });
}
