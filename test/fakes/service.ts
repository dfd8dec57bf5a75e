import { createHash } from "node:crypto";
import type { CallRequest, CommandEnvironment, DeployRequest, Service } from "../../agent/contracts/service.ts";
import { newDeploymentId } from "../../agent/deploy/deployment.ts";
import { CutoverError } from "../../shared/errors.ts";
import { manifestDigest } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type {
  Accepted,
  Actor,
  AppView,
  DeploymentEvent,
  DeploymentKind,
  DeploymentView,
  FilesView,
  LogsView,
  MaintenanceView,
  ReleaseView,
  RepairView,
  RequestsView,
  StoreFault,
  VerifyView,
} from "../../shared/protocol.ts";
import { fakeAppView, fakeTimes } from "./app-view.ts";

type EventBody = DeploymentEvent extends infer E ? (E extends DeploymentEvent ? Omit<E, "id" | "at"> : never) : never;

interface FakeDeployment {
  view: DeploymentView;
  events: DeploymentEvent[];
  wake: PromiseWithResolvers<void>;
}

/**
 * A Service in memory. Deployments stay where a test leaves them: `emit` and `finish` move them on. Every call is kept
 * in `calls`, so that a test can see that a refused request called nothing.
 */
export class FakeService implements Service {
  readonly calls: { method: keyof Service; app: string; by?: Actor; waitMs?: number; detail?: unknown }[] = [];
  readonly views = new Map<string, AppView>();
  readonly output = new Map<string, { source: string; text: string }[]>();
  /** Answers who follows the logs. */
  followed: ((lines: number, after: string) => Promise<LogsView>) | undefined;
  readonly environments = new Map<string, CommandEnvironment>();
  /** Thrown by the next call that does something. */
  failure: unknown;
  /** Called in a deploy before its body is read, such as to wait for the app's lock. */
  beforeBody: (request: DeployRequest) => Promise<void> = async () => undefined;
  /** The events that each new deployment begins with. */
  script: EventBody[] | undefined;
  /** Bytes of the last bundle that was read to its end. */
  received = 0;
  /** Of leases, as the calls brought them. */
  readonly leaseSecrets: (string | undefined)[] = [];
  /** Ids of the deployments, in the order of their begin. */
  readonly began: string[] = [];
  readonly #deployments = new Map<string, FakeDeployment>();

  constructor(views: AppView[] = [fakeAppView()]) {
    for (const view of views) this.views.set(view.app, view);
  }

  async deploy(app: string, request: DeployRequest): Promise<Accepted> {
    const { digest, base, activate, releaseCommand } = request;
    this.#called("deploy", app, request, { digest, ...(base && { base }), activate, releaseCommand });
    this.leaseSecrets.push(request.leaseSecret);
    await this.beforeBody(request);
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of request.body()) {
      hash.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (this.failure !== undefined) throw this.failure;
    }
    this.received = bytes;
    const got = `sha256:${hash.digest("hex")}`;
    if (digest !== undefined && digest !== got) throw new CutoverError("manifest_mismatch", "Another manifest.");
    return this.begin(app, "deploy", "20261121T110000Z-1234567", request.by);
  }

  async activate(app: string, release: string, request: CallRequest): Promise<Accepted> {
    this.#called("activate", app, request, release);
    return this.begin(app, "activate", release, request.by);
  }

  async redeploy(app: string, release: string | "live", request: CallRequest): Promise<Accepted> {
    this.#called("redeploy", app, request, release);
    return this.begin(
      app,
      "redeploy",
      release === "live" ? releaseOfRun((await this.app(app)).live ?? "") : release,
      request.by,
    );
  }

  async rollback(app: string, request: CallRequest): Promise<Accepted> {
    this.#called("rollback", app, request);
    const { previous } = this.#view(app);
    if (previous === null)
      throw new CutoverError("nothing_to_roll_back_to", "There is no good release before this one.");
    return this.begin(app, "rollback", previous, request.by);
  }

  async abort(id: string): Promise<DeploymentView> {
    const { view } = this.#deployment(id);
    this.#called("abort", view.app, undefined, id);
    this.finish(id, "aborted");
    return this.#deployment(id).view;
  }

  async deployment(id: string, leaseSecret?: string): Promise<DeploymentView> {
    this.leaseSecrets.push(leaseSecret);
    return this.#deployment(id).view;
  }

  async settled(id: string, waitMs: number, signal: AbortSignal, leaseSecret?: string): Promise<DeploymentView> {
    this.leaseSecrets.push(leaseSecret);
    const until = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
    while (this.#deployment(id).view.outcome === "running" && !until.aborted) await this.#change(id, until);
    return this.#deployment(id).view;
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<DeploymentEvent> {
    for (let next = after; ; next++) {
      const waits = () => this.#deployment(id).view.outcome === "running" && !signal.aborted;
      while (this.#deployment(id).events[next] === undefined && waits()) await this.#change(id, signal);
      const event = this.#deployment(id).events[next];
      if (event === undefined) return;
      yield event;
      if (event.type === "end") return;
    }
  }

  async apps(): Promise<string[]> {
    return [...this.views.keys()];
  }

  async app(app: string): Promise<AppView> {
    return this.#view(app);
  }

  async files(app: string, release: string | "live"): Promise<FilesView> {
    const { live, releases } = this.#view(app);
    const wanted = release === "live" ? live : release;
    if (wanted === null) throw new CutoverError("nothing_live", `${app} has no live release.`);
    const found = releases.find(({ id }) => id === wanted);
    if (found === undefined) throw new CutoverError("release_not_found", `The host has no release ${wanted}.`);
    const file = { path: "app/shop/wsgi.py", mode: 0o644 as const, size: 3, sha256: "b".repeat(64) };
    return { release: wanted, digest: found.digest, files: [file] };
  }

  async logs(app: string, lines: number, run?: string, after?: string): Promise<LogsView> {
    this.calls.push({ method: "logs", app, detail: { lines, run } });
    this.#view(app);
    if (after !== undefined && this.followed !== undefined) return this.followed(lines, after);
    return { logs: this.output.get(app) ?? [] };
  }

  async requests(app: string): Promise<RequestsView | undefined> {
    return this.#view(app).requests;
  }

  async environment(app: string): Promise<CommandEnvironment> {
    this.#view(app);
    const environment = this.environments.get(app);
    if (environment === undefined) throw new CutoverError("nothing_live", `${app} has no live release.`);
    return environment;
  }

  async maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined> {
    this.#called("maintain", app, undefined, closed);
    const { maintenance: _, ...open } = this.#view(app);
    const maintenance = closed === null ? undefined : { since: fakeTimes.made, allow: closed.allow };
    this.views.set(app, { ...open, ...(maintenance && { maintenance }) });
    return maintenance;
  }

  async pin(app: string, release: string, pinned: boolean): Promise<ReleaseView> {
    this.#called("pin", app, undefined, { release, pinned });
    const record = this.#view(app).releases.find(({ id }) => id === release);
    if (record === undefined) throw new CutoverError("release_not_found", `The host has no release ${release}.`);
    if (pinned) record.pinned = true;
    else delete record.pinned;
    return record;
  }

  async repair(app: string): Promise<RepairView> {
    this.#called("repair", app);
    const { held } = this.#view(app);
    return { app, done: ["tried again"], ...(held !== undefined && { held }) };
  }

  /** What `verify` finds. */
  storeFaults: StoreFault[] = [];

  async verify(app: string): Promise<VerifyView> {
    this.#called("verify", app);
    const releases = this.#view(app).releases.map(({ id }) => id);
    return { app, releases, files: 2947, bytes: 40_000_000, faults: this.storeFaults, more: 0 };
  }

  async removeApp(app: string): Promise<void> {
    this.#called("removeApp", app);
    this.#view(app);
    this.views.delete(app);
  }

  /** A running deployment, as a call would have begun it. */
  begin(app: string, kind: DeploymentKind, release: string, by: Actor = { subject: "test" }): Accepted {
    this.#view(app);
    const id = newDeploymentId();
    const view: DeploymentView = {
      id,
      app,
      kind,
      release,
      state: "received",
      outcome: "running",
      by,
      started: fakeTimes.live,
      phases: [],
    };
    this.#deployments.set(id, { view, events: [], wake: Promise.withResolvers() });
    this.began.push(id);
    for (const event of this.script ?? []) this.emit(id, event);
    return { deployment: id, release };
  }

  /** Resolves when this many deployments have begun. */
  async hasBegun(count: number): Promise<void> {
    while (this.began.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  emit(id: string, event: EventBody): void {
    const deployment = this.#deployment(id);
    deployment.events.push({ ...event, id: deployment.events.length + 1, at: fakeTimes.later } as DeploymentEvent);
    if (event.type === "end") deployment.view = event.deployment;
    deployment.wake.resolve();
    deployment.wake = Promise.withResolvers();
  }

  finish(id: string, outcome: DeploymentView["outcome"], parts: Partial<DeploymentView> = {}): void {
    const { view } = this.#deployment(id);
    this.emit(id, {
      type: "end",
      deployment: { ...view, state: "done", outcome, finished: fakeTimes.later, ...parts },
    });
  }

  #called(method: keyof Service, app: string, request?: CallRequest, detail?: unknown): void {
    this.calls.push({
      method,
      app,
      ...(request && { by: request.by, waitMs: request.waitMs }),
      ...(detail !== undefined && { detail }),
    });
    if (this.failure !== undefined && method !== "deploy") throw this.failure;
  }

  #view(app: string): AppView {
    const view = this.views.get(app);
    if (view === undefined)
      throw new CutoverError("app_not_found", `The host has no app ${app}.`, { fix: "Run `cutover app list`." });
    return view;
  }

  #deployment(id: string): FakeDeployment {
    const deployment = this.#deployments.get(id);
    if (deployment === undefined) throw new CutoverError("deployment_not_found", "The agent knows no such deployment.");
    return deployment;
  }

  async #change(id: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = (): void => resolve();
    signal.addEventListener("abort", stop, { once: true });
    void this.#deployment(id).wake.promise.then(resolve);
    await promise;
    signal.removeEventListener("abort", stop);
  }
}

/** The digest that FakeService compares with the token's: of the whole body, which stands for a bundle. */
export function fakeDigest(body: string | Buffer): string {
  return manifestDigest(Buffer.from(body));
}
