import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import { activate } from "../activate.ts";
import type { AppStates } from "../app-states.ts";
import { type DeployContext, runSpec } from "../context.ts";
import { cutOver, deploy } from "../deploy.ts";
import type { Ending } from "../finish.ts";
import { type DeployQueue, forActivation } from "../queue/queue.ts";
import { type AppState, type Journal, mayHaveCutOver, takeUp } from "../state.ts";
import type { ResumePoint } from "../state-format.ts";
import { acceptedManifest } from "../steps/acceptance.ts";
import { removeOrphansOf } from "./orphans.ts";

/** A recovery that meets a passing fault is tried again: the next start may be weeks away. */
const attempts = 3;
const pauseMs = 500;
/** How often an agent looks for apps that were not there at its start. */
const lateMs = 10_000;

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  queue: DeployQueue;
  /** Called when an app is recovered. */
  onFree(app: string): Promise<void>;
}

/**
 * What an agent does at its start. All apps are locked before any of them is recovered: a call that comes early waits for what
 * was left. Then each recovers by itself, so that one which waits for an old worker, or which fails, holds up no other.
 */
export async function resumeAll(parts: Parts): Promise<void> {
  const names = await parts.ports.apps.names();
  // Ends when the agent shuts down.
  void resumeLate(parts, names).catch(() => undefined);
  await resumeEach(parts, names);
}

async function resumeEach(parts: Parts, names: string[]): Promise<void> {
  const { queue, onFree } = parts;
  const locked = names.map((app) => ({ app, unlock: queue.locks.tryAcquire(app, () => queue.holder(app)) }));
  await Promise.all(
    locked.map(async ({ app, unlock }) => {
      if (unlock === undefined || (await resumeApp(parts, app, unlock))) return;
      unlock();
      await onFree(app);
    }),
  );
}

/**
 * Resumes each app whose settings file comes after the start, or comes back: until then nobody could go on with what was left.
 * @param known the apps of the start
 */
async function resumeLate(parts: Parts, known: string[]): Promise<void> {
  const { ports, queue, log } = parts;
  const seen = new Set(known);
  for (;;) {
    await ports.clock.sleep(lateMs, queue.stopping);
    const names = await ports.apps.names().catch((err: unknown) => {
      log.error({ err }, "the apps of the host could not be listed; they are listed again");
      return [];
    });
    const late = names.filter((app) => !seen.has(app));
    for (const app of late) seen.add(app);
    // One that waits for an old worker holds up no other.
    void resumeEach(parts, late);
  }
}

/** @returns whether the app is still locked, by a deployment that goes on in the background */
export async function resumeApp(
  { ports, log, states, queue }: Parts,
  app: string,
  unlock: () => void,
): Promise<boolean> {
  for (let attempt = 1; attempt <= attempts && !queue.stopping.aborted; attempt++) {
    try {
      const state = await states.of(app);
      const { journal, held } = state;
      if (journal?.onward === undefined || held !== null) {
        await queue.recover(app, state);
        return false;
      }
      const left = { state, journal, resumePoint: journal.onward };
      await queue.takeUp(() => resumeDeployment({ ports, queue }, left, unlock));
      return true;
    } catch (err) {
      log.error({ err, app, attempt }, "the app could not be recovered");
      if (attempt < attempts) await ports.clock.sleep(pauseMs);
    }
  }
  return false;
}

interface Left {
  state: AppState;
  journal: Journal;
  resumePoint: ResumePoint;
}

/** A deployment that an agent left at a safe point when it shut down. From here on a kill undoes or finishes it, as any other. */
async function resumeDeployment(
  { ports, queue }: Pick<Parts, "ports" | "queue">,
  { state, journal, resumePoint }: Left,
  unlock: () => void,
): Promise<void> {
  const putBack = takeUp(state);
  try {
    await ports.states.save(state.app, state);
    const turn = await queue.resume(state, journal.deployment, unlock);
    const { context } = turn;
    context.deployment.notice("The agent is back; the deployment goes on");
    const lease = leaseOf(resumePoint);
    queue.background(turn, () => goOn(context, journal, resumePoint), resumePoint, forActivation(context, lease));
  } catch (thrown) {
    putBack();
    // What failed may be in the file all the same, and this agent may be asked to stop before it tries again.
    await ports.states.save(state.app, state).catch(() => undefined);
    throw thrown;
  }
}

async function goOn(context: DeployContext, { run, deployment }: Journal, resumePoint: ResumePoint): Promise<Ending> {
  // The agent may have been asked to stop again while it took the deployment up.
  context.stopping.throwIfAborted();
  const rollback = deployment.kind === "rollback";
  const hasCutOver = mayHaveCutOver(context.state);
  if (hasCutOver) await cutOver(context, await runSpec(context, run), { rollback });
  // What it was retiring or replacing when the agent shut down.
  await removeOrphansOf(context);
  if (hasCutOver) return "succeeded";
  switch (resumePoint.story) {
    case "deploy":
      return deploy(context, await acceptedManifest(context, run), resumePoint);
    case "again":
      return activate(context, run, { up: resumePoint.up, rollback, weight: deployment.weight ?? 100 });
  }
}

/** An activation has none of its own. */
function leaseOf(resumePoint: ResumePoint): { ms: number; digest?: string | undefined } {
  return resumePoint.story === "deploy" ? { ms: resumePoint.leaseMs, digest: resumePoint.leaseDigest } : { ms: 0 };
}
