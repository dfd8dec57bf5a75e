import { reported } from "../../../shared/deployment-states.ts";
import { CutoverError } from "../../../shared/errors.ts";
import { releaseOfRun } from "../../../shared/names.ts";
import type { DeploymentKind, DeploymentView } from "../../../shared/protocol.ts";
import type { Ports } from "../../contracts/ports.ts";
import type { CallRequest } from "../../contracts/service.ts";
import type { Logger } from "../../logger.ts";
import type { AppStates } from "../app-states.ts";
import type { DeployContext } from "../context.ts";
import { Deployment } from "../deployment.ts";
import { lastWritten } from "../event-log.ts";
import { type Ending, runToEnd } from "../finish.ts";
import { assertNotHeld, recover } from "../recovery/recover.ts";
import { type AppState, liveRelease } from "../state.ts";
import type { DeploymentRecord, ResumePoint } from "../state-format.ts";
import { type Lease, Leases } from "./lease.ts";
import { AppLocks, inProgress } from "./lock.ts";
import type { DeploymentRegistry } from "./registry.ts";

interface Parts {
  ports: Ports;
  log: Logger;
  states: AppStates;
  registry: DeploymentRegistry;
  /** The id of a new deployment. */
  newId(): string;
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

/** A deployment that has its app for itself. */
export interface Turn {
  context: DeployContext;
  /** Of the deployment that staged what this one activates, and kept the app for that. */
  lease: Lease | undefined;
  /** Frees the app. With a lease, the app stays with the deployment that has staged a release. */
  end(lease: Lease | undefined): void;
}

/** For whom the app is kept at the end of a turn, if for anybody. */
type KeptFor = () => Lease | undefined;

/** At the end of a deployment that leaves a staged release, its job keeps the app for the activation. */
export function forActivation({ deployment }: DeployContext, { ms, digest }: Omit<Lease, "deployment">): KeptFor {
  return () => (ms > 0 && deployment.outcome === "staged" ? { deployment: deployment.id, ms, digest } : undefined);
}

/** While a canary has a part of the traffic, its job keeps the app for the next step. */
export function forNextStep({ state }: DeployContext, lease: Lease | undefined): KeptFor {
  return () => (state.staged?.deployment === lease?.deployment ? lease : undefined);
}

interface Running {
  deployment: Deployment;
  ended: Promise<void>;
}

/** One deployment at a time for an app. Each has the app's lock, a state with nothing open, and an end. */
export class DeployQueue {
  readonly locks: AppLocks;
  readonly #parts: Parts;
  readonly #running = new Map<string, Running>();
  /** The deployment that has an app: the one that runs, or the one whose lease lasts. */
  readonly #holders = new Map<string, string>();
  readonly #leases: Leases;
  readonly #stopping = new AbortController();
  /** Deployments that are just being taken up again. */
  readonly #resuming = new Set<Promise<void>>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.locks = new AppLocks(parts.ports.clock);
    this.#leases = new Leases(parts.ports.clock);
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
    // From here on it runs, or is as the last agent left it.
    await Promise.allSettled(this.#resuming);
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Takes a deployment up that the last agent left. An agent that shuts down in the middle of it waits for its end. */
  async takeUp(work: () => Promise<void>): Promise<void> {
    this.stopping.throwIfAborted();
    const working = work();
    this.#resuming.add(working);
    await working.finally(() => this.#resuming.delete(working));
  }

  running(app: string): Running | undefined {
    return this.#running.get(app);
  }

  runningById(id: string): Running | undefined {
    return [...this.#running.values()].find(({ deployment }) => deployment.id === id);
  }

  renewLease(deployment: string, secret: string | undefined): void {
    this.#leases.renew(deployment, secret);
  }

  endLease(app: string, deployment: string): void {
    this.#leases.end(app, deployment);
  }

  /** For work that is no deployment. @param holder the deployment that callers in between see as the holder */
  async lock(app: string, holder = () => this.holder(app)): Promise<() => void> {
    return this.locks.acquire(app, holder, 0, this.stopping);
  }

  holder(app: string): DeploymentView | undefined {
    return this.#parts.registry.recent(this.#holders.get(app) ?? "")?.view;
  }

  /** @throws CutoverError deployment_in_progress, app_held, agent_stopping */
  async begin(app: string, start: Start, request: CallRequest): Promise<Turn> {
    const { ports, states, log, newId } = this.#parts;
    this.stopping.throwIfAborted();
    const settings = await ports.apps.settings(app);
    const { kind, release, digest, weight } = start;
    const named = { ...(release !== undefined && { release }), ...(weight !== undefined && { weight }) };
    const { clock, events: files } = ports;
    const deployment = Deployment.start({ id: newId(), clock, files, app, kind, by: request.by, ...named });
    deployment.digest = digest;
    const signal = AbortSignal.any([request.signal, this.stopping]);
    const lease = kind === "activate" ? await this.#takeLease(app, release) : undefined;
    const holder = () => this.holder(app) ?? deployment.view;
    const unlock = await this.locks.acquire(app, holder, request.waitMs, signal);
    try {
      const state = await states.of(app);
      await this.assertFree(state);
      const { reference } = request;
      const names = { app, deployment: deployment.id, kind, ...(reference !== undefined && { reference }) };
      const ownLog = log.child(names);
      ownLog.info({ by: request.by }, "deployment begins");
      await request.begun?.(deployment.id);
      deployment.restartClock();
      deployment.beginsWith(liveRelease(state));
      return this.#turn({ ports, settings, state, deployment, log: ownLog, stopping: this.stopping }, lease, unlock);
    } catch (thrown) {
      unlock();
      await this.#parts.onFree(app);
      throw thrown;
    }
  }

  /** The turn of a deployment that the last agent left at a safe point. The caller has the app's lock. */
  async resume(state: AppState, record: DeploymentRecord, unlock: () => void): Promise<Turn> {
    const { ports, log } = this.#parts;
    const { app, id, kind } = record;
    const lastEvent = await lastWritten(ports.events, app, id);
    const settings = await ports.apps.settings(app);
    const deployment = new Deployment({ clock: ports.clock, files: ports.events, record, lastEvent });
    // Only a deploy came with a bundle, and is what the same bundle sent again means.
    if (kind === "deploy") deployment.digest = state.releases.find(({ id }) => id === record.release)?.digest;
    const ownLog = log.child({ app, deployment: id, kind });
    ownLog.info({ state: record.state }, "deployment goes on");
    return this.#turn({ ports, settings, state, deployment, log: ownLog, stopping: this.stopping }, undefined, unlock);
  }

  /** Runs the deployment's task to its end, without its caller, and frees the app then. */
  background(turn: Turn, task: () => Promise<Ending>, resumePoint: ResumePoint, keptFor?: KeptFor): void {
    const { context } = turn;
    void runToEnd(context, task, resumePoint)
      .catch((err: unknown) => context.log.error({ err }, "a deployment's end could not be written"))
      .finally(() => this.ended(turn, keptFor));
  }

  async ended({ context, end }: Turn, keptFor: KeptFor = () => undefined): Promise<void> {
    const { registry, onFree } = this.#parts;
    logEnd(context);
    end(keptFor());
    await onFree(context.state.app);
    registry.forgetOld();
  }

  /**
   * Finishes or undoes what stayed open. The caller has the app's lock.
   * @param retry this agent itself tries again what it could not end before
   */
  async recover(app: string, state: AppState, { retry = false } = {}): Promise<Deployment | undefined> {
    const { ports, registry } = this.#parts;
    const log = this.#parts.log.child({ app });
    const deployment = await recover({ ports, state, stopping: this.stopping, retry }, log);
    if (deployment === undefined) return undefined;
    registry.add(deployment);
    const about = { deployment: deployment.id, outcome: deployment.outcome };
    if (state.journal === null) log.info(about, "an interrupted deployment was recovered");
    return deployment;
  }

  /**
   * What is still open is recovered first: its journal must not be written over. The caller has the app's lock.
   * @throws CutoverError app_held, deployment_in_progress
   */
  async assertFree(state: AppState): Promise<void> {
    if (state.held !== null) assertNotHeld(state);
    if (state.journal === null) return;
    // A start could not resume it yet, since the disk is full: it goes on by itself, and must not be undone for this call.
    if (state.journal.onward !== undefined) throw inProgress(state.app, reportedView(state.journal.deployment));
    const recovered = await this.recover(state.app, state, { retry: true });
    assertNotHeld(state, recovered?.trouble);
  }

  /** The activation of a staged release takes the app over from the deployment that staged it. */
  async #takeLease(app: string, release: string | undefined): Promise<Lease | undefined> {
    const { staged } = await this.#parts.states.of(app);
    if (staged === null || releaseOfRun(staged.run) !== release) return undefined;
    return this.#leases.end(app, staged.deployment);
  }

  #turn(context: DeployContext, lease: Lease | undefined, unlock: () => void): Turn {
    const { deployment } = context;
    const { app } = deployment;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#parts.registry.add(deployment);
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
    return { context, lease, end };
  }

  #keep(app: string, lease: Lease, free: () => void): void {
    this.#holders.set(app, lease.deployment);
    this.#leases.grant(app, lease, () => {
      free();
      void this.#parts.onFree(app);
    });
  }
}

function reportedView(record: DeploymentRecord): DeploymentView {
  return { ...record, state: reported(record.state) };
}

function logEnd({ log, state, deployment }: DeployContext): void {
  const { outcome, release, failure } = deployment.view;
  const left = state.journal?.onward !== undefined;
  const message = left ? "deployment is left for the next start" : "deployment ended";
  log.info({ outcome, release, code: failure?.code }, message);
}
