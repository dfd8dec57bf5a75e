import type { Ports } from "../../contracts/ports.ts";
import type { Logger } from "../../logger.ts";
import type { AppStates } from "../app-states.ts";
import { runSpec } from "../context.ts";
import { deploy, deployAgain, unpacked } from "../deploy.ts";
import { hasCutOver } from "../finish.ts";
import { forActivation, type Turn, type Turns } from "../queue/queue.ts";
import type { AppState, Journal, Onward } from "../state.ts";
import { finishForward } from "../steps/cutover.ts";
import { removeStrangers } from "./orphans.ts";

/** A recovery that meets a moment's fault is tried again: the next start may be weeks away. */
const attempts = 3;
const pauseMs = 500;

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  turns: Turns;
  /** Called when an app is recovered. */
  onFree(app: string): Promise<void>;
}

/** What an agent finds at its start, app by app. One that cannot be recovered does not stop the others. */
export async function takeUpAll(parts: Parts): Promise<void> {
  for (const app of await parts.ports.apps.names()) {
    const unlock = parts.turns.locks.tryAcquire(app, () => parts.turns.holder(app));
    if (unlock === undefined) continue;
    if (await takeUp(parts, app, unlock)) continue;
    unlock();
    await parts.onFree(app);
  }
}

/** @returns whether the app is still held, by a deployment that goes on in the background */
async function takeUp({ ports, log, states, turns }: Parts, app: string, unlock: () => void): Promise<boolean> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      const state = await states.of(app);
      const { journal } = state;
      const onward = state.held === null ? journal?.onward : undefined;
      if (journal === null || onward === undefined) {
        await turns.recover(app, state);
        return false;
      }
      await goOn({ ports, turns }, { state, journal, onward }, unlock);
      return true;
    } catch (err) {
      log.error({ err, app, attempt }, "the app could not be recovered");
      if (attempt < attempts) await ports.clock.sleep(pauseMs);
    }
  }
  return false;
}

/** A deployment that an agent which shut down has left at a safe point. From here on a kill undoes it, as any other. */
async function goOn(
  { ports, turns }: Pick<Parts, "ports" | "turns">,
  { state, journal, onward }: { state: AppState; journal: Journal; onward: Onward },
  unlock: () => void,
): Promise<void> {
  const { onward: _, ...rest } = journal;
  state.journal = rest;
  try {
    await ports.states.save(state.app, state);
    const turn = await turns.again(state, journal.deployment, unlock);
    turn.work.deployment.notice("The agent is back; the deployment goes on");
    const leaseMs = onward.story === "deploy" ? onward.leaseMs : 0;
    turns.background(turn, () => story(turn, rest, onward), onward, forActivation(turn.work, leaseMs));
  } catch (thrown) {
    state.journal = journal;
    throw thrown;
  }
}

async function story({ work }: Turn, journal: Journal, onward: Onward) {
  if (hasCutOver(work)) {
    await finishForward(work, await runSpec(work, journal.run), journal.deployment.kind === "rollback");
    return "succeeded";
  }
  // What it was retiring or replacing when the agent shut down.
  const cut = await removeStrangers(work);
  if (cut > 0) work.deployment.cut(cut);
  switch (onward.story) {
    case "deploy":
      return deploy(work, await unpacked(work, journal.run), onward);
    case "again": {
      const rollback = journal.deployment.kind === "rollback";
      return deployAgain(work, journal.run, { up: onward.up, rollback, weight: journal.deployment.weight ?? 100 });
    }
  }
}
