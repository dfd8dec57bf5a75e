import type { Readable } from "node:stream";
import type {
  Accepted,
  Actor,
  AppView,
  DeploymentEvent,
  DeploymentView,
  FilesView,
  MaintenanceView,
  ReleaseView,
  RepairView,
} from "../../shared/protocol.ts";

/**
 * What callers may ask of the agent, whoever they are: agent/deploy implements it, agent/http puts HTTP in front of it.
 * Each method throws CutoverError. A call that returns `Accepted` goes on in the background; its events tell the rest.
 */
export interface Service {
  /** Resolves when the bundle is verified and unpacked. The same bundle sent again gets the deployment it already has. */
  deploy(app: string, request: DeployRequest): Promise<Accepted>;
  activate(app: string, release: string, request: ActivateRequest): Promise<Accepted>;
  redeploy(app: string, release: string | "live", request: CallRequest): Promise<Accepted>;
  rollback(app: string, request: RollbackRequest): Promise<Accepted>;
  /** Undoes a deployment that has not cut over, also a staged one. @throws already_cut_over */
  abort(deployment: string): Promise<DeploymentView>;

  deployment(id: string): Promise<DeploymentView>;
  /** Resolves when the deployment is at rest, or after `waitMs`. */
  settled(id: string, waitMs: number, signal: AbortSignal): Promise<DeploymentView>;
  /** Events with an id above `after`, those of the past first; ends after the `end` event. */
  events(id: string, after: number, signal: AbortSignal): AsyncIterable<DeploymentEvent>;

  apps(): Promise<string[]>;
  app(app: string): Promise<AppView>;
  /** The files of a release, so that a bundle can leave out what stays the same. @throws nothing_live, release_not_found */
  files(app: string, release: string | "live"): Promise<FilesView>;
  /** The last lines of the live run's instances, or of another run's. */
  logs(app: string, lines: number, run?: string): Promise<{ source: string; text: string }[]>;
  /** How a command of the live release runs: for `cutover exec`. Holds the app's secrets, so only for the admin socket. */
  environment(app: string): Promise<CommandEnvironment>;
  /**
   * Closes the site to all visitors but those with these addresses, or changes who is let through; null opens it. Has nothing
   * to do with deployments, so it waits for none.
   * @returns how it stands then @throws request_invalid
   */
  maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined>;
  /** Keeps a release on the host whatever `keep` says, or no longer. @throws release_not_found */
  pin(app: string, release: string, pinned: boolean): Promise<ReleaseView>;
  /**
   * Tries at once again what is held, and makes a state that cannot be read anew from what is on the host.
   * @throws deployment_in_progress
   */
  repair(app: string): Promise<RepairView>;
  /** Stops and removes everything of an app but its settings file. */
  removeApp(app: string): Promise<void>;
}

export interface CallRequest {
  by: Actor;
  /** How long to wait for another deployment of the app to end, in milliseconds. */
  waitMs: number;
  signal: AbortSignal;
  /** What the call's own line in the log has, for the deployment's lines to name it. */
  reference?: string;
  /** Told of the deployment that the call begins, and waited for, before that has any effect. Must not throw. */
  begun?(deployment: string): Promise<void>;
}

export interface RollbackRequest extends CallRequest {
  /** Only while this release is live. @throws not_live */
  from?: string | undefined;
}

export interface ActivateRequest extends CallRequest {
  /** What part of the traffic it gets, in percent; below 100 only for the staged release. @throws canary_impossible */
  weight: number;
}

export interface DeployRequest extends CallRequest {
  /** Called once, when the app is free for this deployment: from then on the bundle is read. */
  body(): Readable;
  /** How many bytes the body has; undefined where the sender does not say. */
  length?: number | undefined;
  /** What the token was signed for; undefined for a local operator. @throws manifest_mismatch */
  digest: string | undefined;
  /** The release over which the bundle is thin; undefined for a whole one. @throws base_unusable */
  base: string | undefined;
  /** false: stop when the release is healthy, and keep it staged. */
  activate: boolean;
  /** false: another host of the same deploy has run it. */
  releaseCommand: boolean;
  /**
   * With `activate: false`: how long the app is kept for this deployment's activation after it is staged, in milliseconds,
   * counted anew whenever somebody asks for the deployment. 0 keeps nothing.
   */
  leaseMs: number;
}

export interface CommandEnvironment {
  release: string;
  directory: string;
  env: Record<string, string>;
  uid?: number;
  gid?: number;
}
