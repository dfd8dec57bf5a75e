import { CutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type {
  Accepted,
  AppView,
  DeploymentEvent,
  DeploymentView,
  FilesView,
  MaintenanceView,
  ReleaseView,
  RepairView,
} from "../../shared/protocol.ts";
import type { Ports } from "../contracts/ports.ts";
import type {
  ActivateRequest,
  CallRequest,
  CommandEnvironment,
  DeployRequest,
  RollbackRequest,
  Service,
} from "../contracts/service.ts";
import type { Logger } from "../logger.ts";
import { AppStates } from "./app-states.ts";
import { viewApp } from "./app-view.ts";
import { runSpec } from "./context.ts";
import { deploy, deployAgain, receive } from "./deploy.ts";
import { aborted } from "./deployment.ts";
import { hasCutOver, takeBack } from "./finish.ts";
import { sameBundle } from "./queue/idempotency.ts";
import { forActivation, forNextStep, type Start, Turns } from "./queue/queue.ts";
import { KnownDeployments } from "./queue/registry.ts";
import { tooLate, unstage } from "./recovery/abort-staged.ts";
import { heldState, repair } from "./recovery/repair.ts";
import { takeUpAll } from "./recovery/resume.ts";
import { WarmRuns } from "./retention/warm-retirement.ts";
import { type AppState, findRelease, liveRelease, type Onward } from "./state.ts";
import {
  activateTarget,
  assertServable,
  nothingLive,
  redeployTarget,
  rollbackRun,
  servableRelease,
  type Target,
} from "./steps/target.ts";
import { CanaryWatch } from "./watch/canary-watch.ts";

/** How long a start waits for recoveries: an old worker may take an hour over its job, and its app stays locked for that time. */
const recoveryPatienceMs = 60_000;

interface Parts {
  ports: Ports;
  log: Logger;
  /** Told of requests that were cut after their deployment had ended, when its warm run was retired. */
  onCut?: (app: string, requests: number) => void;
}

/** The agent's service: takes calls, and gives each that begins a deployment its turn; its story runs in the background. */
export class Deployments implements Service {
  readonly #ports: Ports;
  readonly #log: Logger;
  readonly #states: AppStates;
  readonly #known: KnownDeployments;
  readonly #turns: Turns;
  readonly #warm: WarmRuns;
  readonly #canaries: CanaryWatch;
  /** Aborted when nothing more happens in this life of the agent: who follows a deployment looks for it in the next. */
  readonly #closed = new AbortController();

  constructor({ ports, log, onCut = () => {} }: Parts) {
    this.#ports = ports;
    this.#log = log;
    this.#states = new AppStates(ports);
    const stateOf = (app: string) => this.#states.of(app);
    this.#known = new KnownDeployments({ ports, stateOf });
    const parts = { ports, log, states: this.#states, known: this.#known };
    this.#turns = new Turns({ ...parts, onFree: (app) => this.#schedule(app) });
    this.#warm = new WarmRuns({ ports, locks: this.#turns.locks, log, stateOf, onCut });
    this.#canaries = new CanaryWatch({ ports, log, stateOf, fail: (id, reason) => this.#failCanary(id, reason) });
  }

  /** At start: goes on with what was left at a safe point, and finishes or undoes what was interrupted. */
  async recoverAll(): Promise<void> {
    const done = new AbortController();
    const onFree = (app: string) => this.#schedule(app);
    const parts = { ports: this.#ports, log: this.#log, states: this.#states, turns: this.#turns, onFree };
    const all = takeUpAll(parts).finally(() => done.abort());
    await Promise.race([all, this.#ports.clock.sleep(recoveryPatienceMs, done.signal).catch(() => all)]);
  }

  /** Leaves what runs at its next safe point, from which the next start goes on; a bundle that still comes is refused. */
  async close(): Promise<void> {
    this.#warm.close();
    this.#canaries.close();
    await this.#turns.close();
    this.#closed.abort();
  }

  async deploy(app: string, request: DeployRequest): Promise<Accepted> {
    await this.#ports.apps.settings(app);
    const again = await sameBundle(this.#turns, this.#states, app, request.digest);
    if (again !== undefined) return again;
    const turn = await this.#turns.begin(app, { kind: "deploy", digest: request.digest }, request);
    const { work } = turn;
    const { stopping } = this.#turns;
    const lost = () => work.deployment.abort(aborted("the sender, whose connection was lost"));
    // The rest of a bundle cannot come to the next start.
    const stopped = () => work.deployment.abort(stopping.reason);
    request.signal.addEventListener("abort", lost, { once: true });
    stopping.addEventListener("abort", stopped, { once: true });
    try {
      const manifest = await receive(work, request);
      // Also where it was aborted at the very end: its sender has no answer yet, and sends it again.
      work.deployment.signal.throwIfAborted();
      request.signal.removeEventListener("abort", lost);
      stopping.removeEventListener("abort", stopped);
      const { activate, releaseCommand, leaseMs } = request;
      const onward: Onward = { story: "deploy", activate, releaseCommand, leaseMs };
      this.#turns.background(turn, () => deploy(work, manifest, request), onward, forActivation(work, leaseMs));
      return { deployment: work.deployment.id, release: manifest.release };
    } catch (thrown) {
      await takeBack(work, thrown);
      await this.#turns.ended(turn);
      throw work.deployment.signal.aborted ? work.deployment.signal.reason : thrown;
    } finally {
      stopping.removeEventListener("abort", stopped);
    }
  }

  async activate(app: string, release: string, request: ActivateRequest): Promise<Accepted> {
    const { weight } = request;
    const same = this.#turns.running(app)?.deployment.view;
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
    const running = this.#turns.running(app);
    const state = await this.#states.of(app);
    let { from } = request;
    if (running !== undefined && hasCutOver({ state })) {
      // Meant is what is live now, which may go back by itself before this call has its turn.
      from ??= liveRelease(state) ?? undefined;
      if (request.waitMs > 0) running.deployment.endWatch();
    }
    return this.#again(app, { kind: "rollback" }, request, (state) => rollbackRun(state, from));
  }

  async abort(id: string): Promise<DeploymentView> {
    const running = this.#turns.runningById(id);
    if (running !== undefined) {
      const state = await this.#states.of(running.deployment.app);
      if (hasCutOver({ state })) throw tooLate(id);
      running.deployment.abort(aborted("a call"));
      await running.ended;
      // It was left for the next start just before: there it can be aborted.
      if (running.deployment.outcome === "running") throw this.#turns.stopping.reason;
      return running.deployment.view;
    }
    const view = await this.deployment(id);
    const state = await this.#states.of(view.app);
    if (state.staged?.deployment !== id) throw tooLate(id);
    return this.#unstage(view, aborted("a call"));
  }

  async deployment(id: string): Promise<DeploymentView> {
    this.#turns.renewLease(id);
    return this.#known.view(id);
  }

  async settled(id: string, waitMs: number, signal: AbortSignal): Promise<DeploymentView> {
    const view = await this.#known.settled(id, waitMs, signal);
    this.#turns.renewLease(id);
    return view;
  }

  events(id: string, after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    return this.#known.events(id, after, AbortSignal.any([signal, this.#closed.signal]));
  }

  apps(): Promise<string[]> {
    return this.#ports.apps.names();
  }

  async app(app: string): Promise<AppView> {
    const settings = await this.#ports.apps.settings(app);
    const state = await this.#states.of(app).catch((thrown: unknown) => heldState(this.#ports, app, thrown));
    return viewApp({ ports: this.#ports, settings, state, running: this.#turns.running(app)?.deployment.view });
  }

  async files(app: string, release: string | "live"): Promise<FilesView> {
    return this.#ports.releases.files(app, servableRelease(await this.#states.of(app), release));
  }

  async logs(app: string, lines: number, run?: string): Promise<{ source: string; text: string }[]> {
    const state = await this.#states.of(app);
    const wanted = run ?? state.live;
    if (wanted === null) throw nothingLive(app);
    return this.#ports.logs.tail(app, wanted, lines);
  }

  async environment(app: string): Promise<CommandEnvironment> {
    const state = await this.#states.of(app);
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
    const state = await this.#states.of(app);
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
    const unlock = await this.#turns.lock(app);
    try {
      const view = await repair({
        ports: this.#ports,
        app,
        state: () => this.#states.of(app),
        adopt: (state) => this.#states.adopt(app, state),
        recover: (state) => this.#turns.recover(app, state),
      });
      this.#log.info(view, "repaired");
      return view;
    } finally {
      unlock();
      await this.#schedule(app);
    }
  }

  async removeApp(app: string): Promise<void> {
    const unlock = await this.#turns.lock(app);
    try {
      for (const run of await this.#ports.privileged.runs(app)) await this.#ports.privileged.removePrograms(app, run);
      await this.#ports.privileged.removeApp(app);
      this.#states.forget(app);
    } finally {
      unlock();
    }
  }

  /** Traffic to a release that is on the host, chosen when the app is free. */
  async #again(
    app: string,
    start: Start,
    request: CallRequest,
    choose: (state: AppState) => Target,
  ): Promise<Accepted> {
    const turn = await this.#turns.begin(app, start, request);
    const { work } = turn;
    let target: Target;
    try {
      target = choose(work.state);
    } catch (thrown) {
      await takeBack(work, thrown);
      await this.#turns.ended(turn, forNextStep(work, turn.lease));
      throw thrown;
    }
    const { run, up } = target;
    const release = releaseOfRun(run);
    work.deployment.named(release);
    const how = { up, rollback: start.kind === "rollback", weight: start.weight ?? 100 };
    const onward: Onward = { story: "again", up };
    this.#turns.background(turn, () => deployAgain(work, run, how), onward, forNextStep(work, turn.lease));
    return { deployment: work.deployment.id, release };
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

  async #unstage(view: DeploymentView, reason: CutoverError): Promise<DeploymentView> {
    const parts = { ports: this.#ports, log: this.#log, states: this.#states, known: this.#known, turns: this.#turns };
    const undone = await unstage(parts, view, reason);
    await this.#schedule(view.app);
    return undone;
  }
}
