import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { DeploymentKind, DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { CallRequest } from "../../contracts/service.ts";
import type { Logger } from "../../logger.ts";
import type { AppStates } from "../app-states.ts";
import type { Work } from "../context.ts";
import { Deployment } from "../deployment.ts";
import { carryOut, type Ending } from "../finish.ts";
import { assertNotHeld, recover } from "../recovery/recover.ts";
import type { AppState, Onward } from "../state.ts";
import { Leases } from "./lease.ts";
import { AppLocks } from "./lock.ts";
import type { KnownDeployments } from "./registry.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  known: KnownDeployments;
  /** Called when an app is free again. Must not throw. */
  onFree(app: string): Promise<void>;
}

/** What begins a deployment. */
export interface Start {
  kind: DeploymentKind;
  release?: string;
  digest?: string | undefined;
  /** Of an activation, in percent. */
  weight?: number;
}

export interface Lease {
  deployment: string;
  ms: number;
}

/** A deployment that has its app for itself. */
export interface Turn {
  work: Work;
  /** Of the deployment that had staged what this one activates, and kept the app for that. */
  lease: Lease | undefined;
  /** With a lease, the app stays with the deployment that has staged a release. */
  end(lease: Lease | undefined): void;
}

/** For whom the app is kept at the end of a turn, if for anybody. */
type Keeps = () => Lease | undefined;

/** At the end of a deployment that leaves a staged release, its job keeps the app for the activation. */
export function forActivation({ deployment }: Work, ms: number): Keeps {
  return () => (ms > 0 && deployment.outcome === "staged" ? { deployment: deployment.id, ms } : undefined);
}

/** While a canary has a part of the traffic, its job keeps the app for the next step. */
export function forNextStep({ state }: Work, lease: Lease | undefined): Keeps {
  return () => (state.staged?.deployment === lease?.deployment ? lease : undefined);
}

interface Running {
  deployment: Deployment;
  ended: Promise<void>;
}

/** Whose turn it is with an app: one deployment at a time, each with the app's lock, a state that holds nothing open, and its end. */
export class Turns {
  readonly locks: AppLocks;
  readonly #parts: Parts;
  readonly #running = new Map<string, Running>();
  /** The deployment that has an app: the one that runs, or the one whose lease lasts. */
  readonly #holders = new Map<string, string>();
  readonly #leases = new Leases();
  readonly #stopping = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.locks = new AppLocks(parts.ports.clock);
  }

  /** Aborted when the agent shuts down. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Lets what runs reach its next safe point, and waits for that. No other turn begins. */
  async close(): Promise<void> {
    this.#leases.close();
    this.#stopping.abort(
      new CutoverError("agent_stopping", "The agent is shutting down.", {
        unchanged: "The live release goes on serving.",
        fix: "Run it again when the agent is back.",
      }),
    );
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  running(app: string): Running | undefined {
    return this.#running.get(app);
  }

  runningById(id: string): Running | undefined {
    return [...this.#running.values()].find(({ deployment }) => deployment.id === id);
  }

  renewLease(deployment: string): void {
    this.#leases.renew(deployment);
  }

  /** For what is no deployment of its own. @param holder whom another is told of, who comes meanwhile */
  async lock(app: string, holder = () => this.holder(app)): Promise<() => void> {
    return this.locks.acquire(app, holder, 0, this.stopping);
  }

  holder(app: string): DeploymentView | undefined {
    return this.#parts.known.recent(this.#holders.get(app) ?? "")?.view;
  }

  /** @throws CutoverError deployment_in_progress, app_held, agent_stopping */
  async begin(app: string, start: Start, request: CallRequest): Promise<Turn> {
    const { ports, states, log } = this.#parts;
    this.stopping.throwIfAborted();
    const settings = await ports.apps.settings(app);
    const { kind, release, digest, weight } = start;
    const named = { ...(release !== undefined && { release }), ...(weight !== undefined && { weight }) };
    const { clock, events: files } = ports;
    const deployment = Deployment.start({ clock, files, app, kind, by: request.by, ...named });
    deployment.digest = digest;
    const signal = AbortSignal.any([request.signal, this.stopping]);
    const lease = kind === "activate" ? await this.#takeLease(app, release) : undefined;
    const holder = () => this.holder(app) ?? deployment.view;
    const unlock = await this.locks.acquire(app, holder, request.waitMs, signal);
    try {
      const state = await states.of(app);
      if (state.held !== null) assertNotHeld(state);
      if (state.journal !== null) {
        const recovered = await this.recover(app, state);
        // Its journal must not be written over.
        assertNotHeld(state, recovered?.trouble);
      }
      const { reference } = request;
      const names = { app, deployment: deployment.id, kind, ...(reference !== undefined && { reference }) };
      const own = log.child(names);
      own.info({ by: request.by }, "deployment begins");
      await request.begun?.(deployment.id);
      const work: Work = { ports, settings, state, deployment, log: own, stopping: this.stopping };
      deployment.restartClock();
      return this.#turn(work, lease, unlock);
    } catch (thrown) {
      unlock();
      throw thrown;
    }
  }

  /** The turn of a deployment that an earlier life of the agent has left at a safe point. The caller has the app's lock. */
  async again(state: AppState, view: DeploymentView, unlock: () => void): Promise<Turn> {
    const { ports, log } = this.#parts;
    const { app } = view;
    const past = await ports.events.read(app, view.id);
    const settings = await ports.apps.settings(app);
    const deployment = new Deployment({ clock: ports.clock, files: ports.events, view, past });
    deployment.digest = state.releases.find(({ id }) => id === view.release)?.digest;
    const own = log.child({ app, deployment: view.id, kind: view.kind });
    own.info({ state: view.state }, "deployment goes on");
    const work: Work = { ports, settings, state, deployment, log: own, stopping: this.stopping };
    return this.#turn(work, undefined, unlock);
  }

  /** The deployment's story from here on, without its caller. */
  background(turn: Turn, story: () => Promise<Ending>, onward: Onward, keeps?: Keeps): void {
    const { work } = turn;
    void carryOut(work, story, onward)
      .catch((err: unknown) => work.log.error({ err }, "a deployment's end could not be written"))
      .finally(() => this.ended(turn, keeps));
  }

  async ended({ work, end }: Turn, keeps: Keeps = () => undefined): Promise<void> {
    const { known, onFree } = this.#parts;
    const { outcome, release, failure } = work.deployment.view;
    log(work, { outcome, release, code: failure?.code });
    end(keeps());
    await onFree(work.state.app);
    known.forgetOld();
  }

  /** Finishes or undoes what an earlier life of the agent has left. The caller has the app's lock. */
  async recover(app: string, state: AppState): Promise<Deployment | undefined> {
    const { ports, known } = this.#parts;
    const log = this.#parts.log.child({ app });
    const deployment = await recover({ ports, state, stopping: this.stopping }, log);
    if (deployment === undefined) return undefined;
    known.add(deployment);
    log.info({ deployment: deployment.id, outcome: deployment.outcome }, "an interrupted deployment was taken up");
    return deployment;
  }

  endLease(app: string, deployment: string): void {
    this.#leases.end(app, deployment);
  }

  /** The activation of a staged release takes the app over from the deployment that staged it. */
  async #takeLease(app: string, release: string | undefined): Promise<Lease | undefined> {
    const { staged } = await this.#parts.states.of(app);
    if (staged === null || releaseOfRun(staged.run) !== release) return undefined;
    const ms = this.#leases.end(app, staged.deployment);
    return ms === undefined ? undefined : { deployment: staged.deployment, ms };
  }

  #turn(work: Work, lease: Lease | undefined, unlock: () => void): Turn {
    const { deployment } = work;
    const { app } = deployment;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#parts.known.add(deployment);
    this.#running.set(app, { deployment, ended });
    this.#holders.set(app, deployment.id);
    const free = () => {
      this.#holders.delete(app);
      unlock();
    };
    const end = (kept: Lease | undefined) => {
      this.#running.delete(app);
      if (kept === undefined || this.stopping.aborted) free();
      else this.#keep(app, kept, free);
      resolve();
    };
    return { work, lease, end };
  }

  #keep(app: string, { deployment, ms }: Lease, free: () => void): void {
    this.#holders.set(app, deployment);
    this.#leases.grant(app, deployment, ms, () => {
      free();
      void this.#parts.onFree(app);
    });
  }
}

function log({ log, state }: Work, how: object): void {
  const left = state.journal?.onward !== undefined;
  log.info(how, left ? "deployment is left for the next start" : "deployment ended");
}
