import { CutoverError } from "../../../shared/errors.ts";
import type { RepairView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { Deployment } from "../deployment.ts";
import type { AppState } from "../state.ts";
import { describeFound, stateFromHost } from "./reconstruct-state.ts";

interface Parts {
  ports: Ports;
  app: string;
  /** @throws CutoverError app_held where it cannot be read */
  state(): Promise<AppState>;
  /** Takes a state that was made anew for the app's own. */
  adopt(state: AppState): void;
  recover(state: AppState): Promise<Deployment | undefined>;
}

/** Tries at once again what holds an app, and makes a state that cannot be read anew. Called with the app's lock. */
export async function repair(parts: Parts): Promise<RepairView> {
  const { app, ports } = parts;
  const done: string[] = [];
  const state = await parts.state().catch((thrown: unknown) => rebuild(parts, thrown, done));
  const { held, journal } = state;
  if (journal === null) state.held = null;
  const deployment = await parts.recover(state);
  done.push(...describeRepair(state, deployment));
  if (state.held !== held) await ports.states.save(app, state);
  return { app, done, ...(state.held !== null && { held: state.held }) };
}

/** An app whose state cannot be read, as it stands on the host: to be looked at, never to be saved. */
export async function heldState(ports: Ports, app: string, thrown: unknown): Promise<AppState> {
  if (!isUnreadable(thrown)) throw thrown;
  return { ...(await stateFromHost(ports, app)), held: thrown.message };
}

/** What cannot be read is kept beside the new file, for a person to look at. */
async function rebuild({ ports, app, adopt }: Parts, thrown: unknown, done: string[]): Promise<AppState> {
  if (!isUnreadable(thrown)) throw thrown;
  const state = await stateFromHost(ports, app);
  const copy = await ports.states.keepCopy(app);
  await ports.states.save(app, state);
  adopt(state);
  done.push(thrown.message);
  if (copy !== undefined) done.push(`kept what could not be read as ${copy}`);
  done.push(...describeFound(state), "wrote the state anew");
  return state;
}

function isUnreadable(thrown: unknown): thrown is CutoverError {
  return thrown instanceof CutoverError && thrown.code === "app_held";
}

/** What taking up an app again has come to, for the person who asked for it. */
function describeRepair({ journal, live }: AppState, deployment: Deployment | undefined): string[] {
  if (deployment === undefined) {
    return [`no deployment was left open; traffic and programs are as the state says: ${live ?? "nothing"} is live`];
  }
  const { id, kind, release = "a release" } = deployment.view;
  const what = `the ${kind} ${id} of ${release}`;
  if (journal !== null)
    return [`tried again, and could not finish or undo ${what}: ${deployment.trouble ?? "see the log"}`];
  return [
    deployment.outcome === "succeeded"
      ? `finished ${what}`
      : `ended ${what} as ${deployment.outcome}; ${live ?? "nothing"} is live`,
  ];
}
