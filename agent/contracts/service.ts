import type { Readable } from "node:stream";
import type {
  Accepted,
  Actor,
  AppView,
  CertificateView,
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

/**
 * What callers may ask of the agent. agent/deploy implements it, and agent/http puts HTTP in front of it. Each method throws
 * CutoverError. A call that returns `Accepted` continues in the background; its events say how it goes on.
 */
export interface Service {
  /** Resolves when the bundle is verified and unpacked. The same bundle sent again gets the same deployment. */
  deploy(app: string, request: DeployRequest): Promise<Accepted>;
  activate(app: string, release: string, request: ActivateRequest): Promise<Accepted>;
  redeploy(app: string, release: string | "live", request: CallRequest): Promise<Accepted>;
  rollback(app: string, request: RollbackRequest): Promise<Accepted>;
  /** Undoes a deployment that has not cut over, also a staged one. @throws CutoverError already_cut_over */
  abort(deployment: string): Promise<DeploymentView>;

  /** @param leaseSecret renews the deployment's lease if it is that of its caller */
  deployment(id: string, leaseSecret?: string): Promise<DeploymentView>;
  /** Resolves when the deployment is at rest, or after `waitMs`. */
  settled(id: string, waitMs: number, signal: AbortSignal, leaseSecret?: string): Promise<DeploymentView>;
  /** Events with an id above `after`, past ones first. It ends after the `end` event. */
  events(id: string, after: number, signal: AbortSignal): AsyncIterable<DeploymentEvent>;

  apps(): Promise<string[]>;
  app(app: string): Promise<AppView>;
  /** The files of a release, so that a bundle can leave out what stays the same. @throws CutoverError nothing_live, release_not_found */
  files(app: string, release: string | "live"): Promise<FilesView>;
  /**
   * The last lines of each instance of a run; of the live run unless given. `source` is the instance's name.
   * @param after to follow: an empty text at the beginning, and then `next` of the answer before
   */
  logs(app: string, lines: number, run?: string, after?: string): Promise<LogsView>;
  /** What visitors saw in the last seconds; undefined if nginx writes no lines of requests for this app. */
  requests(app: string, seconds: number): Promise<RequestsView | undefined>;
  /** How a command of the live release runs, for `cutover exec`. It holds the app's secrets, so only for the admin socket. */
  environment(app: string): Promise<CommandEnvironment>;
  /**
   * Closes the site to all visitors except those with these addresses, or changes these addresses; null opens the site. It
   * waits for no deployment.
   * @returns the site's state after it; undefined if the site is open
   * @throws CutoverError request_invalid
   */
  maintain(app: string, closed: { allow: string[] } | null): Promise<MaintenanceView | undefined>;
  /** Keeps a release on the host whatever `keep` says, or ends that. @throws CutoverError release_not_found */
  pin(app: string, release: string, pinned: boolean): Promise<ReleaseView>;
  /**
   * Retries now what is held, and reconstructs a state that cannot be read from what is on the host.
   * @throws CutoverError deployment_in_progress
   */
  repair(app: string): Promise<RepairView>;
  /** Hashes all files of the app's releases again, and says what differs. It waits for no deployment, and none waits for it. */
  verify(app: string): Promise<VerifyView>;
  /**
   * Stops and removes everything of an app except its settings file.
   * @param data also what it shares between releases, such as uploads; otherwise that stays unless there is nothing
   */
  removeApp(app: string, data?: boolean): Promise<void>;
}

/** The certificates of sites with `tls: auto`. */
export interface CertificateService {
  views(): Promise<CertificateView[]>;
  /** Orders one now. @throws CutoverError certificate_failed, host_settings_invalid, app_not_found */
  renew(app: string): Promise<CertificateView>;
}

export interface CallRequest {
  by: Actor;
  /** How long to wait for another deployment of the app to end, in milliseconds. */
  waitMs: number;
  signal: AbortSignal;
  /** The call's id in the log, which the deployment's log lines repeat. */
  reference?: string;
  /** Called and awaited with the deployment's id before the deployment has any effect. Must not throw. */
  begun?(deployment: string): Promise<void>;
}

export interface RollbackRequest extends CallRequest {
  /** Only if this release is live. @throws CutoverError not_live */
  from?: string | undefined;
}

export interface ActivateRequest extends CallRequest {
  /** Its part of the traffic in percent; below 100 only for the staged release. @throws CutoverError canary_impossible */
  weight: number;
}

export interface DeployRequest extends CallRequest {
  /** Called once, when the app is free for this deployment. The bundle is read from then on. */
  body(): Readable;
  /** The body's length in bytes; undefined if the sender does not say. */
  length?: number | undefined;
  /** The sha256 (hex) of the manifest that the token was signed for; undefined for a local operator. @throws CutoverError manifest_mismatch */
  digest: string | undefined;
  /** The release whose files a thin bundle leaves out; undefined for a whole bundle. @throws CutoverError base_unusable */
  base: string | undefined;
  /** false: stop when the release is healthy, and leave it staged. */
  activate: boolean;
  /** Also if a later run of the same workflow has brought the live release. @throws CutoverError older_than_live without it */
  allowOlder?: boolean;
  /** false: processes with `hosts: first` run on another host of the same deploy. */
  firstHost?: boolean;
  /** false: another host of the same deploy has already run it. */
  releaseCommand: boolean;
  /**
   * With `activate: false`: how long the app is reserved for the activation of this release after it is staged, in
   * milliseconds. The time starts again whenever the lease's holder reads the deployment. 0 reserves nothing.
   */
  leaseMs: number;
  /** By this the lease's holder is known. An older Action brings none: then whoever reads the deployment renews it. */
  leaseSecret?: string | undefined;
}

/** What it takes to run a command of a release by hand. */
export interface CommandEnvironment {
  release: string;
  /** The project's directory in the release. */
  directory: string;
  /** The whole environment, with the app's secrets. */
  env: Record<string, string>;
  /** The app's user; undefined if it is the user of this process. */
  uid?: number;
  gid?: number;
}
