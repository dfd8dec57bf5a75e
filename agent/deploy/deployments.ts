import type { CutoverError } from "../../shared/errors.ts";
import type { Manifest } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type {
  Accepted,
  AppView,
  DeploymentEvent,
  DeploymentView,
  FilesView,
  LogsView,
  MaintenanceView,
  ReleaseView,
  RepairView,
  RequestsView,
  VerifyView,
} from "../../shared/protocol.ts";
import type { InstancesReport } from "../contracts/instances-report.ts";
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
import { activate as activateRun } from "./activate.ts";
import { AppOperations } from "./app-operations.ts";
import { AppStates } from "./app-states.ts";
import type { DeployContext } from "./context.ts";
import { deploy } from "./deploy.ts";
import { aborted, newDeploymentId } from "./deployment.ts";
import { failAndUndo, refusal } from "./finish.ts";
import { findSameBundle } from "./queue/idempotency.ts";
import { leaseOf } from "./queue/lease.ts";
import { DeployQueue, forActivation, forNextStep, type Start } from "./queue/queue.ts";
import { DeploymentRegistry } from "./queue/registry.ts";
import { abortedOrTooLate, abortStaged, tooLate } from "./recovery/abort-staged.ts";
import { OpenDeployments } from "./recovery/open-deployments.ts";
import { resumeAll, resumeApp } from "./recovery/resume.ts";
import { WarmRetirement } from "./retention/warm-retirement.ts";
import { type AppState, liveRelease, mayHaveCutOver } from "./state.ts";
import { deployResumePoint } from "./state-format.ts";
import { acceptBundle } from "./steps/acceptance.ts";
import { activateTarget, redeployTarget, rollbackRun, type Target } from "./steps/target.ts";
import { CanaryWatch } from "./watch/canary-watch.ts";
import { LiveSupervision } from "./watch/live-supervision.ts";

/** How long a start waits for recoveries: an old worker may need an hour for its job, and its app stays locked until then. */
const recoveryPatienceMs = 60_000;

interface Parts {
  ports: Ports;
  log: Logger;
  /** Called when requests were cut after their deployment had ended, because its warm run was retired. */
  onCut?: (app: string, requests: number) => void;
  /** Called when live instances do not run, and when they run again. */
  onInstances?: (report: InstancesReport) => void;
  /** The id of a new deployment; random unless given. Who knows it may follow the deployment. */
  newId?: () => string;
}

/**
 * The agent's service, which HTTP calls. A call that begins a deployment waits in the queue for its turn; then its task (a
 * deploy, or an activation) runs in the background, and the caller follows its events.
 */
export class Deployments implements Service {
  readonly supervision: LiveSupervision;
  readonly #ports: Ports;
  readonly #log: Logger;
  readonly #states: AppStates;
  readonly #registry: DeploymentRegistry;
  readonly #queue: DeployQueue;
  readonly #warm: WarmRetirement;
  readonly #canaries: CanaryWatch;
  readonly #open: OpenDeployments;
  readonly operations: AppOperations;
  /** Aborted when nothing more happens in this process: followers of a deployment look for it at the next start. */
  readonly #closed = new AbortController();

  constructor({ ports, log, onCut = () => {}, onInstances = () => {}, newId = newDeploymentId }: Parts) {
    this.#ports = ports;
    this.#log = log;
    this.#states = new AppStates(ports);
    const stateOf = (app: string) => this.#states.of(app);
    this.#registry = new DeploymentRegistry({ ports, stateOf });
    const onFree = (app: string) => this.#schedule(app);
    const parts = { ports, log, states: this.#states, registry: this.#registry, newId, stateOf, onFree };
    this.#queue = new DeployQueue(parts);
    const resume = (app: string, unlock: () => void) => resumeApp({ ...parts, queue: this.#queue }, app, unlock);
    this.#open = new OpenDeployments({ ports, log, queue: this.#queue, stateOf, resume, onFree });
    this.operations = new AppOperations({ ports, log, states: this.#states, queue: this.#queue, resume });
    const watching = { ...parts, locks: this.#queue.locks, restarts: this.operations.restarts };
    this.#warm = new WarmRetirement({ ...watching, onCut });
    this.supervision = new LiveSupervision({ ...watching, onReport: onInstances });
    const fail = async (id: string, why: CutoverError) => this.#abortStaged(await this.deployment(id), why);
    this.#canaries = new CanaryWatch({ ports, log, stateOf, fail });
  }

  /** At start: goes on with what was left at a safe point, and finishes or undoes what was interrupted. */
  async recoverAll(): Promise<void> {
    const done = new AbortController();
    const onFree = (app: string) => this.#schedule(app);
    const parts = { ports: this.#ports, log: this.#log, states: this.#states, queue: this.#queue, onFree };
    const all = resumeAll(parts).finally(() => done.abort());
    await Promise.race([all, this.#ports.clock.sleep(recoveryPatienceMs, done.signal).catch(() => all)]);
  }

  /** Leaves what runs at its next safe point, from which the next start goes on. A bundle that is still coming is refused. */
  async close(): Promise<void> {
    this.supervision.close();
    this.#warm.close();
    this.#canaries.close();
    this.#open.close();
    await this.#queue.close();
    this.#closed.abort();
  }

  async deploy(app: string, request: DeployRequest): Promise<Accepted> {
    await this.#ports.apps.settings(app);
    const again = await findSameBundle(this.#queue, this.#states, app, request.digest);
    if (again !== undefined) return again;
    const turn = await this.#queue.begin(app, { kind: "deploy", digest: request.digest }, request);
    const { context } = turn;
    try {
      const manifest = await this.#accept(context, request);
      const lease = leaseOf(request);
      const task = () => deploy(context, manifest, request);
      this.#queue.background(turn, task, deployResumePoint(request, lease), forActivation(context, lease));
      return { deployment: context.deployment.id, release: manifest.release };
    } catch (thrown) {
      await failAndUndo(context, thrown);
      await this.#queue.ended(turn);
      throw context.deployment.signal.aborted ? context.deployment.signal.reason : refusal(context, thrown);
    }
  }

  async activate(app: string, release: string, request: ActivateRequest): Promise<Accepted> {
    const { weight } = request;
    const same = this.#queue.running(app)?.deployment.view;
    // The call is sent again because its answer was lost.
    if (same?.kind === "activate" && same.release === release && same.weight === weight) {
      return { deployment: same.id, release };
    }
    return this.#activate(app, { kind: "activate", release, weight }, request, (state) =>
      activateTarget(state, release),
    );
  }

  async redeploy(app: string, release: string | "live", request: CallRequest): Promise<Accepted> {
    const start = release === "live" ? {} : { release };
    return this.#activate(app, { kind: "redeploy", ...start }, request, (state) => redeployTarget(state, release));
  }

  async rollback(app: string, request: RollbackRequest): Promise<Accepted> {
    const running = this.#queue.running(app);
    const state = await this.#states.of(app);
    let { from } = request;
    if (running !== undefined && mayHaveCutOver(state)) {
      // The caller means what is live now. That may go back by itself before this call has its turn.
      from ??= liveRelease(state) ?? undefined;
      if (request.waitMs > 0) running.deployment.endWatch();
    }
    return this.#activate(app, { kind: "rollback" }, request, (state) => rollbackRun(state, from));
  }

  async abort(id: string): Promise<DeploymentView> {
    const running = this.#queue.runningById(id);
    if (running !== undefined) {
      const state = await this.#states.of(running.deployment.app);
      if (mayHaveCutOver(state)) throw tooLate(id);
      running.deployment.abort(aborted("a call"));
      await running.ended;
      // It was left for the next start a moment before. It can be aborted there.
      if (running.deployment.outcome === "running") throw this.#queue.stopping.reason;
      // It was staged in the moment of the abort: then that is undone.
      if (running.deployment.outcome !== "staged") return abortedOrTooLate(running.deployment.view);
    }
    const view = await this.deployment(id);
    const state = await this.#states.of(view.app);
    if (state.staged?.deployment !== id) throw tooLate(id);
    return this.#abortStaged(view, aborted("a call"));
  }

  async deployment(id: string, leaseSecret?: string): Promise<DeploymentView> {
    this.#queue.renewLease(id, leaseSecret);
    return this.#canaries.judged(await this.#registry.view(id));
  }

  async settled(id: string, waitMs: number, signal: AbortSignal, leaseSecret?: string): Promise<DeploymentView> {
    const view = await this.#registry.settled(id, waitMs, signal);
    this.#queue.renewLease(id, leaseSecret);
    return view;
  }

  events(id: string, after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    return this.#registry.events(id, after, AbortSignal.any([signal, this.#closed.signal]));
  }

  apps(): Promise<string[]> {
    return this.#ports.apps.names();
  }

  app(app: string): Promise<AppView> {
    return this.operations.app(app);
  }

  files(app: string, release: string | "live"): Promise<FilesView> {
    return this.operations.files(app, release);
  }

  logs(app: string, lines: number, run?: string, after?: string): Promise<LogsView> {
    return this.operations.logs(app, lines, run, after);
  }

  requests(app: string, seconds: number): Promise<RequestsView | undefined> {
    return this.operations.requests(app, seconds);
  }

  environment(app: string): Promise<CommandEnvironment> {
    return this.operations.environment(app);
  }

  maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined> {
    return this.operations.maintain(app, closed);
  }

  pin(app: string, release: string, pinned: boolean): Promise<ReleaseView> {
    return this.operations.pin(app, release, pinned);
  }

  async repair(app: string): Promise<RepairView> {
    return this.operations.repair(app).finally(() => this.#schedule(app));
  }

  verify(app: string): Promise<VerifyView> {
    return this.operations.verify(app);
  }

  removeApp(app: string, data = false): Promise<void> {
    return this.operations.removeApp(app, data);
  }

  /**
   * Takes the bundle from the caller. A sender that is gone, and an agent that shuts down, end the upload: the rest of it
   * cannot come to the next start.
   */
  async #accept(context: DeployContext, request: DeployRequest): Promise<Manifest> {
    const { deployment, stopping } = context;
    using _lost = deployment.abortOn(request.signal, () => aborted("the sender, whose connection was lost"));
    using _stopped = deployment.abortOn(stopping, () => stopping.reason);
    const manifest = await acceptBundle(context, request);
    // Also if it was aborted at the very end: its sender has no answer yet, and sends it again.
    deployment.signal.throwIfAborted();
    return manifest;
  }

  /** Traffic to a release that is on the host. It is chosen when the app is free. */
  async #activate(
    app: string,
    start: Start,
    request: CallRequest,
    choose: (state: AppState) => Target,
  ): Promise<Accepted> {
    const turn = await this.#queue.begin(app, start, request);
    const { context, lease } = turn;
    const keptFor = forNextStep(context, lease);
    let target: Target;
    try {
      target = choose(context.state);
    } catch (thrown) {
      await failAndUndo(context, thrown);
      await this.#queue.ended(turn, keptFor);
      throw thrown;
    }
    const { run, up } = target;
    const release = releaseOfRun(run);
    context.deployment.named(release);
    const task = () =>
      activateRun(context, run, { up, rollback: start.kind === "rollback", weight: start.weight ?? 100 });
    this.#queue.background(turn, task, { story: "again", up }, keptFor);
    return { deployment: context.deployment.id, release };
  }

  /** Housekeeping between the deployments. Called whenever the app is free. */
  async #schedule(app: string): Promise<void> {
    const log = (what: string) => (err: unknown) => this.#log.error({ err, app }, what);
    await this.#warm.schedule(app).catch(log("retire was not scheduled"));
    await this.#canaries.schedule(app).catch(log("the canary is not watched"));
    await this.#open.schedule(app).catch(log("an open deployment is not tried again"));
  }

  async #abortStaged(view: DeploymentView, reason: CutoverError): Promise<DeploymentView> {
    const parts = { ports: this.#ports, log: this.#log, states: this.#states };
    const aborting = abortStaged({ ...parts, registry: this.#registry, queue: this.#queue }, view, reason);
    // One that fails half-way, for example without the app's settings, has opened the deployment again.
    return aborting.finally(() => this.#schedule(view.app));
  }
}
