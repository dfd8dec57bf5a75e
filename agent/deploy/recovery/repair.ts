import { CutoverError } from "../../../shared/errors.ts";
import type { DeploymentView, RepairView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Deployment } from "../deployment.ts";
import { type AppState, type Journal, openDeployment, unhold } from "../state.ts";
import { describeFound, reconstructState } from "./reconstruct-state.ts";

interface Parts {
  ports: Ports;
  app: string;
  /** @throws CutoverError state_unreadable */
  state(): Promise<AppState>;
  /** From now on this is the app's state. */
  adopt(state: AppState): void;
  recover(state: AppState): Promise<Deployment | undefined>;
  /** Goes on with a deployment that an agent left at a safe point. @returns whether it does */
  resume(): Promise<boolean>;
}

/** Recovers an app that is held, and rebuilds a state that cannot be read. Called with the app's lock. */
export async function repair(parts: Parts): Promise<RepairView> {
  const { app, ports } = parts;
  const done: string[] = [];
  const state = await parts.state().catch((thrown: unknown) => rebuild(parts, thrown, done));
  const { held, journal } = state;
  if (journal?.onward !== undefined && held === null) return { app, ...(await goOn(parts, journal)) };
  if (journal === null) unhold(state);
  const deployment = await parts.recover(state);
  done.push(...describeRepair(state, deployment));
  if (state.held !== held) await ports.states.save(app, state);
  const blocked = state.held ?? (state.journal === null ? undefined : openDeployment(state.journal));
  return { app, done, ...(blocked !== undefined && { held: blocked }) };
}

/** Nothing has gone wrong with a deployment that waits to be resumed: it goes on, and is not undone. */
async function goOn({ app, resume }: Parts, journal: Journal): Promise<Omit<RepairView, "app">> {
  const what = described(journal.deployment);
  if (await resume())
    return { done: [`took up ${what}, which goes on now: \`cutover status ${app}\` shows how it ends`] };
  return { done: [`tried to go on with ${what}, and could not: see the agent's log`], held: openDeployment(journal) };
}

/** The status of an app whose state cannot be read, by what is on the host. Only to be looked at: it is not saved. */
export async function heldState(ports: Ports, app: string, thrown: unknown): Promise<AppState> {
  if (!isUnreadable(thrown)) throw thrown;
  return { ...(await reconstructState(ports, app)), held: thrown.message };
}

/** The file that cannot be read is kept as a copy, for a person to look at. */
async function rebuild({ ports, app, adopt }: Parts, thrown: unknown, done: string[]): Promise<AppState> {
  if (!isUnreadable(thrown)) throw thrown;
  const state = await reconstructState(ports, app);
  const copy = await ports.states.keepCopy(app);
  await ports.states.save(app, state);
  adopt(state);
  done.push(thrown.message);
  if (copy !== undefined) done.push(`kept what could not be read as ${copy}`);
  done.push(...describeFound(state), "wrote a new state");
  return state;
}

function isUnreadable(thrown: unknown): thrown is CutoverError {
  return thrown instanceof CutoverError && thrown.code === "state_unreadable";
}

/** What the repair has done, for the person who asked for it. */
function describeRepair({ journal, live }: AppState, deployment: Deployment | undefined): string[] {
  if (deployment === undefined) {
    return [`no deployment was left open; traffic and programs are as the state says: ${live ?? "nothing"} is live`];
  }
  const what = described(deployment.view);
  if (journal !== null)
    return [`tried again, and could not finish or undo ${what}: ${deployment.trouble ?? "see the log"}`];
  return [
    deployment.outcome === "succeeded"
      ? `finished ${what}`
      : `ended ${what} as ${deployment.outcome}; ${live ?? "nothing"} is live`,
  ];
}

function described({ id, kind, release = "a release" }: Pick<DeploymentView, "id" | "kind" | "release">): string {
  return `the ${kind} ${id} of ${release}`;
}
