import { CutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type {
  Accepted,
  AppView,
  DeploymentEvent,
  DeploymentKind,
  DeploymentView,
  FilesView,
  MaintenanceView,
  ReleaseView,
  RepairView,
} from "../../shared/protocol.ts";
import type { Logger } from "../logger.ts";
import type { Ports } from "../ports.ts";
import type {
  ActivateRequest,
  CallRequest,
  CommandEnvironment,
  DeployRequest,
  RollbackRequest,
  Service,
} from "../service.ts";
import { viewApp } from "./app-view.ts";
import { carryOut, type Ending, hasCutOver, takeBack } from "./conclude.ts";
import { deploy, deployAgain, receive } from "./deploy.ts";
import { aborted, Deployment } from "./deployment.ts";
import { KnownDeployments } from "./known-deployments.ts";
import { Leases } from "./lease.ts";
import { AppLocks } from "./lock.ts";
import { assertNotHeld, recover } from "./recover.ts";
import { heldState, repair } from "./repair.ts";
import { type AppState, assertNeverLive, findRelease, liveRelease, loadState } from "./state.ts";
import {
  activateTarget,
  assertServable,
  nothingLive,
  redeployTarget,
  rollbackRun,
  servableRelease,
  type Target,
} from "./target.ts";
import { WarmRuns } from "./warm.ts";
import { CanaryWatch } from "./watch.ts";
import { runSpec, type Work } from "./work.ts";

const unchanged = "Nothing was changed.";
/** How long a start waits for recoveries: an old worker may take an hour over its job, and its app stays locked for that time. */
const recoveryPatienceMs = 60_000;
/** A recovery that meets a moment's fault is tried again: the next start may be weeks away. */
const recoveryAttempts = 3;
const recoveryPauseMs = 500;

interface Parts {
  ports: Ports;
  log: Logger;
  /** Told of requests that were cut after their deployment had ended, when its warm run was retired. */
  onCut?: (app: string, requests: number) => void;
}

/** Ends a deployment's hold on its app; with a lease, the app stays with the deployment that has staged a release. */
type Unlock = (lease?: Lease) => void;

interface Lease {
  deployment: string;
  ms: number;
}

interface Start {
  kind: DeploymentKind;
  release?: string;
  digest?: string | undefined;
  /** Of an activation, in percent. */
  weight?: number;
}

/** The agent's service: takes calls, holds one deployment an app, runs the stories in the background. */
export class Deployments implements Service {
  readonly #ports: Ports;
  readonly #log: Logger;
  readonly #locks: AppLocks;
  readonly #states = new Map<string, AppState>();
  readonly #known: KnownDeployments;
  readonly #running = new Map<string, { deployment: Deployment; ended: Promise<void> }>();
  readonly #stopping = new AbortController();
  readonly #warm: WarmRuns;
  readonly #canaries: CanaryWatch;
  readonly #leases = new Leases();

  constructor({ ports, log, onCut = () => {} }: Parts) {
    this.#ports = ports;
    this.#log = log;
    this.#locks = new AppLocks(ports.clock);
    const stateOf = (app: string) => this.#state(app);
    this.#known = new KnownDeployments({ ports, stateOf });
    this.#warm = new WarmRuns({ ports, locks: this.#locks, log, stateOf, onCut });
    this.#canaries = new CanaryWatch({ ports, log, stateOf, fail: (id, reason) => this.#failCanary(id, reason) });
  }

  /** At start: finishes or undoes what was interrupted, app by app. An app that cannot be recovered does not stop the others. */
  async recoverAll(): Promise<void> {
    const done = new AbortController();
    const all = this.#recoverEach().finally(() => done.abort());
    await Promise.race([all, this.#ports.clock.sleep(recoveryPatienceMs, done.signal).catch(() => all)]);
  }

  async #recoverEach(): Promise<void> {
    for (const app of await this.#ports.apps.names()) {
      const unlock = this.#locks.tryAcquire(app, () => undefined);
      if (unlock === undefined) continue;
      for (let attempt = 1; attempt <= recoveryAttempts; attempt++) {
        try {
          await this.#recover(app, await this.#state(app));
          break;
        } catch (err) {
          this.#log.error({ err, app, attempt }, "the app could not be recovered");
          if (attempt < recoveryAttempts) await this.#ports.clock.sleep(recoveryPauseMs);
        }
      }
      unlock();
      await this.#schedule(app);
    }
  }

  /** Aborts what has not cut over and waits for its undo; what has cut over is left to the next start. */
  async close(): Promise<void> {
    this.#warm.close();
    this.#canaries.close();
    this.#leases.close();
    const reason = new CutoverError("agent_stopping", "The agent is shutting down.", {
      unchanged: "The live release goes on serving.",
      fix: "Deploy again when the agent is back.",
    });
    this.#stopping.abort(reason);
    const running = [...this.#running.values()];
    for (const { deployment } of running) deployment.abort(reason);
    await Promise.all(running.map(({ ended }) => ended));
  }

  async deploy(app: string, request: DeployRequest): Promise<Accepted> {
    await this.#ports.apps.settings(app);
    const again = await this.#sameBundle(app, request.digest);
    if (again !== undefined) return again;
    const { work, unlock } = await this.#open(app, { kind: "deploy", digest: request.digest }, request);
    const lost = () => work.deployment.abort(aborted("the sender, whose connection was lost"));
    request.signal.addEventListener("abort", lost, { once: true });
    try {
      const manifest = await receive(work, request);
      request.signal.removeEventListener("abort", lost);
      this.#background(work, this.#leased(work, unlock, request.leaseMs), () => deploy(work, manifest, request));
      return { deployment: work.deployment.id, release: manifest.release };
    } catch (thrown) {
      await takeBack(work, thrown);
      await this.#closed(work, unlock);
      throw thrown;
    }
  }

  async activate(app: string, release: string, request: ActivateRequest): Promise<Accepted> {
    const { weight } = request;
    const same = this.#running.get(app)?.deployment.view;
    // A call that is sent again because its answer was lost.
    if (same?.kind === "activate" && same.release === release && same.weight === weight) {
      return { deployment: same.id, release };
    }
    return this.#again(app, { kind: "activate", release, weight }, request, (state) => activateTarget(state, release));
  }

  async redeploy(app: string, release: string | "live", request: CallRequest): Promise<Accepted> {
    const start = release === "live" ? {} : { release };
    return this.#again(app, { kind: "redeploy", ...start }, request, (state) => redeployTarget(state, release));
  }

  async rollback(app: string, request: RollbackRequest): Promise<Accepted> {
    const running = this.#running.get(app);
    const state = await this.#state(app);
    let { from } = request;
    if (running !== undefined && hasCutOver({ state })) {
      // Meant is what is live now, which may go back by itself before this call has its turn.
      from ??= liveRelease(state) ?? undefined;
      if (request.waitMs > 0) running.deployment.endWatch();
    }
    return this.#again(app, { kind: "rollback" }, request, (state) => rollbackRun(state, from));
  }

  async abort(id: string): Promise<DeploymentView> {
    const running = [...this.#running.values()].find(({ deployment }) => deployment.id === id);
    if (running !== undefined) {
      const state = await this.#state(running.deployment.app);
      if (hasCutOver({ state })) throw tooLate(id);
      running.deployment.abort(aborted("a call"));
      await running.ended;
      return running.deployment.view;
    }
    const view = await this.deployment(id);
    const state = await this.#state(view.app);
    if (state.staged?.deployment !== id) throw tooLate(id);
    return this.#unstage(view, aborted("a call"));
  }

  async deployment(id: string): Promise<DeploymentView> {
    this.#leases.renew(id);
    return this.#known.view(id);
  }

  async settled(id: string, waitMs: number, signal: AbortSignal): Promise<DeploymentView> {
    const view = await this.#known.settled(id, waitMs, signal);
    this.#leases.renew(id);
    return view;
  }

  events(id: string, after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    return this.#known.events(id, after, signal);
  }

  apps(): Promise<string[]> {
    return this.#ports.apps.names();
  }

  async app(app: string): Promise<AppView> {
    const settings = await this.#ports.apps.settings(app);
    const state = await this.#state(app).catch((thrown: unknown) => heldState(this.#ports, app, thrown));
    return viewApp({ ports: this.#ports, settings, state, running: this.#running.get(app)?.deployment.view });
  }

  async files(app: string, release: string | "live"): Promise<FilesView> {
    return this.#ports.releases.files(app, servableRelease(await this.#state(app), release));
  }

  async logs(app: string, lines: number, run?: string): Promise<{ source: string; text: string }[]> {
    const state = await this.#state(app);
    const wanted = run ?? state.live;
    if (wanted === null) throw nothingLive(app);
    return this.#ports.logs.tail(app, wanted, lines);
  }

  async environment(app: string): Promise<CommandEnvironment> {
    const state = await this.#state(app);
    if (state.live === null) throw nothingLive(app);
    return this.#ports.privileged.commandEnvironment(await runSpec({ ports: this.#ports, state }, state.live));
  }

  async maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined> {
    const { apps, maintenance, privileged } = this.#ports;
    await apps.settings(app);
    // An app that was never deployed has no directory yet.
    if (closed !== null) await privileged.prepareApp(app);
    await (closed === null ? maintenance.end(app) : maintenance.begin(app, closed.allow));
    return maintenance.state(app);
  }

  async pin(app: string, release: string, pinned: boolean): Promise<ReleaseView> {
    const state = await this.#state(app);
    assertServable(state, release);
    const record = findRelease(state, release);
    if (record === undefined) throw new CutoverError("internal", `${release} has no record.`);
    if (pinned) record.pinned = true;
    else delete record.pinned;
    await this.#ports.states.save(app, state);
    return record;
  }

  async repair(app: string): Promise<RepairView> {
    await this.#ports.apps.settings(app);
    const holder = () => this.#running.get(app)?.deployment.view;
    const unlock = await this.#locks.acquire(app, holder, 0, this.#stopping.signal);
    try {
      const view = await repair({
        ports: this.#ports,
        app,
        state: () => this.#state(app),
        adopt: (state) => this.#states.set(app, state),
        recover: (state) => this.#recover(app, state),
      });
      this.#log.info(view, "repaired");
      return view;
    } finally {
      unlock();
      await this.#schedule(app);
    }
  }

  async removeApp(app: string): Promise<void> {
    const unlock = await this.#locks.acquire(
      app,
      () => this.#running.get(app)?.deployment.view,
      0,
      this.#stopping.signal,
    );
    try {
      for (const run of await this.#ports.privileged.runs(app)) await this.#ports.privileged.removePrograms(app, run);
      await this.#ports.privileged.removeApp(app);
      this.#states.delete(app);
    } finally {
      unlock();
    }
  }

  async #state(app: string): Promise<AppState> {
    const known = this.#states.get(app);
    if (known !== undefined) return known;
    await this.#ports.apps.settings(app);
    const state = await loadState(this.#ports.states, app);
    if (state.releases.length === 0) await assertNeverLive(this.#ports.releases, app);
    const first = this.#states.get(app) ?? state;
    this.#states.set(app, first);
    return first;
  }

  /** The app's lock, its state with nothing left over in it, and a deployment to begin with. */
  async #open(
    app: string,
    start: Start,
    request: CallRequest,
  ): Promise<{ work: Work; unlock: Unlock; lease: Lease | undefined }> {
    this.#stopping.signal.throwIfAborted();
    const { clock, events, apps } = this.#ports;
    const settings = await apps.settings(app);
    const { kind, release, digest, weight } = start;
    const named = { ...(release !== undefined && { release }), ...(weight !== undefined && { weight }) };
    const deployment = Deployment.start({ clock, files: events, app, kind, by: request.by, ...named });
    deployment.digest = digest;
    const signal = AbortSignal.any([request.signal, this.#stopping.signal]);
    const lease = kind === "activate" ? await this.#endLease(app, release) : undefined;
    let holder = deployment.id;
    const holds = () => this.#known.recent(holder)?.view ?? deployment.view;
    const unlock = await this.#locks.acquire(app, holds, request.waitMs, signal);
    try {
      const state = await this.#state(app);
      if (state.held !== null) assertNotHeld(state);
      if (state.journal !== null) {
        const recovered = await this.#recover(app, state);
        // Its journal must not be written over.
        assertNotHeld(state, recovered?.trouble);
      }
      const { reference } = request;
      const log = this.#log.child({
        app,
        deployment: deployment.id,
        kind,
        ...(reference !== undefined && { reference }),
      });
      log.info({ by: request.by }, "deployment begins");
      await request.begun?.(deployment.id);
      const work: Work = { ports: this.#ports, settings, state, deployment, log, stopping: this.#stopping.signal };
      this.#known.add(deployment);
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      this.#running.set(app, { deployment, ended });
      deployment.restartClock();
      return {
        work,
        lease,
        unlock: (lease) => {
          this.#running.delete(app);
          holder = lease?.deployment ?? holder;
          if (lease === undefined) unlock();
          else this.#leases.grant(app, lease.deployment, lease.ms, () => this.#free(app, unlock));
          resolve();
        },
      };
    } catch (thrown) {
      unlock();
      throw thrown;
    }
  }

  /** At the end of a deployment that leaves a staged release, its job keeps the app for the activation. */
  #leased({ deployment }: Work, unlock: Unlock, ms: number): Unlock {
    return () => unlock(ms > 0 && deployment.outcome === "staged" ? { deployment: deployment.id, ms } : undefined);
  }

  /** The activation of a staged release takes the app over from the deployment that staged it. */
  async #endLease(app: string, release: string | undefined): Promise<Lease | undefined> {
    const { staged } = await this.#state(app);
    if (staged === null || releaseOfRun(staged.run) !== release) return undefined;
    const ms = this.#leases.end(app, staged.deployment);
    return ms === undefined ? undefined : { deployment: staged.deployment, ms };
  }

  /** While a canary has a part of the traffic, its job keeps the app for the next step. */
  #stillLeased(work: Work, unlock: Unlock, lease: Lease | undefined): Unlock {
    return () => unlock(work.state.staged?.deployment === lease?.deployment ? lease : undefined);
  }

  #free(app: string, unlock: () => void): void {
    unlock();
    void this.#schedule(app);
  }

  async #again(
    app: string,
    start: Start,
    request: CallRequest,
    choose: (state: AppState) => Target,
  ): Promise<Accepted> {
    const { work, lease, ...opened } = await this.#open(app, start, request);
    const unlock = this.#stillLeased(work, opened.unlock, lease);
    let target: Target;
    try {
      target = choose(work.state);
    } catch (thrown) {
      await takeBack(work, thrown);
      await this.#closed(work, unlock);
      throw thrown;
    }
    const release = releaseOfRun(target.run);
    work.deployment.named(release);
    const how = { up: target.up, rollback: start.kind === "rollback", weight: start.weight ?? 100 };
    this.#background(work, unlock, () => deployAgain(work, target.run, how));
    return { deployment: work.deployment.id, release };
  }

  /** A retried upload: the deployment that this bundle has already, or undefined when it has to be read. */
  async #sameBundle(app: string, digest: string | undefined): Promise<Accepted | undefined> {
    if (digest === undefined) return undefined;
    const running = this.#running.get(app);
    if (running?.deployment.digest === digest) {
      const { id, release, phases } = running.deployment.view;
      if (release !== undefined && phases.some(({ state }) => state === "unpacked")) return { deployment: id, release };
      // The first sender's connection is lost, or there would be no second one.
      running.deployment.abort(aborted("a second upload of the same bundle"));
      await running.ended;
      return undefined;
    }
    const state = await this.#state(app);
    const known = state.releases.find((release) => release.digest === digest && release.state !== "failed");
    const past = state.history.find(({ release, kind }) => kind === "deploy" && release === known?.id);
    return known !== undefined && past !== undefined ? { deployment: past.id, release: known.id } : undefined;
  }

  #background(work: Work, unlock: Unlock, story: () => Promise<Ending>): void {
    void carryOut(work, story)
      .catch((err: unknown) => work.log.error({ err }, "a deployment's end could not be written"))
      .finally(() => this.#closed(work, unlock));
  }

  async #closed({ deployment, log }: Work, unlock: Unlock): Promise<void> {
    const { outcome, release, failure } = deployment.view;
    log.info({ outcome, release, code: failure?.code }, "deployment ended");
    unlock();
    await this.#schedule(deployment.app);
    this.#known.forgetOld();
  }

  /** What goes on beside the deployments. */
  async #schedule(app: string): Promise<void> {
    await this.#warm.schedule(app).catch((err: unknown) => this.#log.error({ err, app }, "retire was not scheduled"));
    await this.#canaries
      .schedule(app)
      .catch((err: unknown) => this.#log.error({ err, app }, "the canary is not watched"));
  }

  async #failCanary(id: string, reason: CutoverError): Promise<void> {
    await this.#unstage(await this.deployment(id), reason);
  }

  async #recover(app: string, state: AppState): Promise<Deployment | undefined> {
    const log = this.#log.child({ app });
    const deployment = await recover({ ports: this.#ports, state, stopping: this.#stopping.signal }, log);
    if (deployment === undefined) return undefined;
    this.#known.add(deployment);
    log.info({ deployment: deployment.id, outcome: deployment.outcome }, "an interrupted deployment was taken up");
    return deployment;
  }

  async #unstage(view: DeploymentView, reason: CutoverError): Promise<DeploymentView> {
    this.#leases.end(view.app, view.id);
    const unlock = await this.#locks.acquire(view.app, () => view, 0, this.#stopping.signal);
    try {
      const state = await this.#state(view.app);
      if (state.staged?.deployment !== view.id) throw tooLate(view.id);
      const past = await this.#ports.events.read(view.app, view.id);
      const { clock, events, apps } = this.#ports;
      const deployment = this.#known.recent(view.id) ?? new Deployment({ clock, files: events, view, past });
      const { run } = state.staged;
      state.journal = { deployment: deployment.view, run, from: state.live, brought: true, attempts: 0 };
      const log = this.#log.child({ app: view.app, deployment: view.id, kind: view.kind });
      // It goes on all the same: the undo writes the state again before each of its steps.
      const unwritten = (err: unknown) => log.error({ err }, "the journal could not be written");
      await this.#ports.states.save(view.app, state).catch(unwritten);
      const settings = await apps.settings(view.app);
      const work: Work = { ports: this.#ports, settings, state, deployment, log, stopping: this.#stopping.signal };
      this.#known.add(deployment);
      await takeBack(work, reason);
      await this.#schedule(view.app);
      return deployment.view;
    } finally {
      unlock();
    }
  }
}

function tooLate(id: string): CutoverError {
  return new CutoverError("already_cut_over", `Deployment ${id} has ended or has cut over, so it cannot be aborted.`, {
    unchanged,
    fix: "Use `rollback` to go back to the release before.",
  });
}
