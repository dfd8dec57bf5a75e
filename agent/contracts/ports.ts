import type { Readable } from "node:stream";
import type { Config } from "../../shared/config.ts";
import type { Manifest } from "../../shared/manifest.ts";
import type {
  AuditEntry,
  DeploymentEvent,
  FilesView,
  HostView,
  LogsView,
  MaintenanceView,
  ReleaseView,
  StoreFault,
} from "../../shared/protocol.ts";
import type { AppSettings } from "../settings.ts";
import type { HealthProbe } from "./health-probe.ts";
import type { Instance, OutputListener, Privileged } from "./privileged.ts";
import type { Requests } from "./requests.ts";

export type { HealthAnswer, HealthProbe, HealthRequest, Visit } from "./health-probe.ts";

/**
 * What the deploy code (agent/deploy) needs and the host code (agent/host) supplies. The two never import each other;
 * agent/wire/ and agent/main.ts join them. A method throws CutoverError for what a person can act on, and any other error
 * for a defect or for what the system refused.
 */
export interface Ports {
  clock: Clock;
  apps: Apps;
  states: StateStore;
  releases: Releases;
  environments: Environments;
  privileged: Privileged;
  traffic: Traffic;
  probe: HealthProbe;
  connections: Connections;
  logs: InstanceLogs;
  events: EventFiles;
  maintenance: Maintenance;
  requests: Requests;
  system: HostSystem;
}

export interface HostSystem {
  /** What the host is, for whoever packs for it. */
  view(): Promise<HostView>;
  /** Whether processes with these ids all run. It asks no process, and costs a millisecond. */
  running(pids: number[]): Promise<boolean>;
}

/** Time is an argument, so that tests of waiting take milliseconds. */
export interface Clock {
  /** Milliseconds since the epoch, for what is written down. Somebody may set the host's clock at any time. */
  now(): number;
  /** Milliseconds that never go back, from an arbitrary start: for limits and durations. */
  elapsed(): number;
  /** @throws the signal's reason if the signal is aborted first */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once, after so many milliseconds. @returns what cancels it */
  after(ms: number, run: () => void): () => void;
}

/** What the host's owner wrote about each app. Read again at each call, so an edit needs no restart. */
export interface Apps {
  /** Sorted. @throws CutoverError host_settings_invalid */
  names(): Promise<string[]>;
  /** @throws CutoverError app_not_found, host_settings_invalid */
  settings(app: string): Promise<AppSettings>;
}

/** state.json of each app, which is the journal. The deploy code parses what it gets. */
export interface StateStore {
  /** undefined if no state was written yet. @throws CutoverError state_unreadable if the file is not JSON */
  load(app: string): Promise<unknown>;
  /** On disk before it returns: temporary file, fsync, rename, fsync of the directory. Saves of one app keep their order. */
  save(app: string, state: object): Promise<void>;
  /** Copies the file, whatever is in it, to a path next to it. @returns that path; undefined if there is no file */
  keepCopy(app: string): Promise<string | undefined>;
}

/** In bytes. `needed` includes the reserve that must stay free. */
export interface Shortage {
  needed: number;
  free: number;
}

/** Frees disk space for a release. @throws CutoverError disk_full if it cannot */
export type FreeSpace = (shortage: Shortage) => Promise<void>;

export interface UnpackOptions {
  /** Called with the manifest and its sha256 (hex) before any file is written. If it throws, the bundle is refused. */
  accept(manifest: Manifest, digest: string): Promise<void>;
  /** The release whose files a thin bundle leaves out; undefined for a whole bundle. */
  base?: string | undefined;
  /** Called before any file is written, if the manifest's files do not fit. Without it they are refused. */
  freeSpace?: FreeSpace;
  signal: AbortSignal;
}

/** Releases on this host, each an unpacked and built bundle that never changes. */
export interface Releases {
  /**
   * Called before a body of this many bytes is read. A release needs more than its body, so if the body does not fit, the
   * release does not either.
   * @throws CutoverError disk_full
   */
  assertSpace(app: string, bytes: number, freeSpace: FreeSpace): Promise<void>;
  /** The bytes that removing these releases would free, with the environments that only they use. Removes nothing. */
  freedBytes(app: string, releases: string[]): Promise<number>;
  /**
   * Reads a bundle (zstd or gzip, detected by magic bytes) and checks each file against the manifest while it writes it. At
   * the end one rename makes `releases/<id>` appear. Each content is on disk once, however many releases have it; files that
   * a thin bundle leaves out are taken from there. A bundle that is refused leaves nothing.
   * @returns the manifest and its sha256 in hex
   * @throws CutoverError bundle_*, base_unusable, manifest_invalid, release_exists, disk_full, aborted
   */
  unpack(app: string, bundle: Readable, options: UnpackOptions): Promise<{ manifest: Manifest; digest: string }>;
  /** @throws CutoverError release_not_found */
  config(app: string, release: string): Promise<Config>;
  /** As it was unpacked. @throws CutoverError release_not_found, manifest_invalid */
  manifest(app: string, release: string): Promise<Manifest>;
  /** The files in a release's manifest. @throws CutoverError release_not_found */
  files(app: string, release: string): Promise<FilesView>;
  /** Also removes what an interrupted unpack left. No error if nothing is there. */
  remove(app: string, release: string): Promise<void>;
  /**
   * Hashes all files of the app's releases again, whatever is deployed meanwhile. What differs in the store is no longer used
   * for new releases.
   */
  verify(app: string): Promise<VerifiedReleases>;
  /** Removes the files that no release has any more. Not while one is unpacked, or waits for its `sync`. */
  prune(app: string): Promise<void>;
  /** All whole releases, in no order. One whose manifest cannot be read is left out. */
  list(app: string): Promise<StoredRelease[]>;
  /** The releases that the links of `publish` lead to. */
  published(app: string): Promise<{ current: string | null; previous: string | null }>;
  /** After this, the release survives a power cut as it was unpacked and built. */
  sync(app: string, release: string): Promise<void>;
  /** Points links at releases, each by one rename. nginx finds static files through them. */
  publish(app: string, links: PublishedLinks): Promise<void>;
}

export type { StoreFault };

export interface VerifiedReleases {
  /** With the digest of the manifest that was found. */
  releases: { id: string; digest: string }[];
  /** How much was hashed: each content once. */
  files: number;
  bytes: number;
  faults: StoreFault[];
}

export type StoredRelease = Pick<ReleaseView, "id" | "digest" | "commit" | "repository" | "created">;

/** null removes a link; a link that is not named stays as it is. They are moved in this order. */
export interface PublishedLinks {
  previous?: string | null;
  current?: string;
  /** The release that has a part of the traffic. */
  canary?: string | null;
  /** The release that is ready, with or without traffic. */
  staged?: string | null;
}

export interface BuildContext {
  app: string;
  release: string;
  manifest: Manifest;
  onOutput: OutputListener;
  signal: AbortSignal;
}

/** Python environments, each shared by all releases with the same interpreter and requirements. */
export interface Environments {
  /**
   * Builds the release's virtual environment, or finds the one with the same key, links it as `venv`, and compiles bytecode.
   * @returns the environment's key, and whether it existed already
   * @throws CutoverError python_not_found, environment_failed (evidence: pip's output), disk_full, aborted
   */
  build(context: BuildContext): Promise<{ key: string; reused: boolean }>;
  /** Whether a release still has its environment. */
  present(app: string, release: string): Promise<boolean>;
  /** Removes environments that none of these releases links to. */
  prune(app: string, keptReleases: string[]): Promise<void>;
}

/** A run's part of the traffic: its instances, and how many of the 60 slots they hold together. */
export interface Share {
  run: string;
  instances: Instance[];
  slots: number;
}

/** Where visitors of one site go. The configuration is that of the release whose site it is. */
export interface RoutePart {
  config: Config;
  /** Their slots make 60 together. */
  shares: Share[];
}

export interface Route {
  /** null before a first release has traffic. */
  main: RoutePart | null;
  /** The staged release, or the live one while nothing is staged; null if no preview is configured. */
  preview: RoutePart | null;
  /** For what visitors must come back to: if the release may not have its names, the site keeps those that it has. */
  keepNames?: boolean | undefined;
}

/** Moves visitors from one run to another: by links to sockets, without a reload, or by ports in nginx's upstream, with one. */
export interface Traffic {
  /**
   * Makes nginx send visitors there: all of them, or none if it fails. Idempotent.
   * @returns whether nginx was reloaded
   * @throws CutoverError nginx_config_broken, nginx_unreachable, certificate_missing, *_not_allowed, domain_taken
   */
  route(app: string, route: Route): Promise<{ reloaded: boolean }>;
  /** How many slots lead to each address. An address without slots is not in the map. */
  assigned(app: string): Promise<Map<string, number>>;
  /** Whether that is only what the files say: a write of them was interrupted, and nginx may not have read them. */
  unread(app: string): Promise<boolean>;
  /**
   * Whether no request can reach an instance without slots any more.
   * @param how `ports`: the old or the new run listens on ports
   */
  settled(app: string, how: { ports: boolean }): Promise<boolean>;
  /** Removes what earlier routes left. */
  tidy(app: string): Promise<void>;
}

export interface Connections {
  /** Open connections of each address: those accepted, and those that wait in the backlog. */
  count(addresses: string[]): Promise<Map<string, number>>;
  /** Those of the addresses on which somebody listens. It asks no process, and costs a millisecond. */
  listening(addresses: string[]): Promise<Set<string>>;
  /** Those of the addresses, on ports, whose port is open to the network too: by address, what listens, such as `0.0.0.0:9000`. */
  outside(addresses: string[]): Promise<Map<string, string>>;
}

export interface InstanceLogs {
  /** The last lines of each instance's log, for the reason of a failure. `source` is the instance's name. */
  tail(app: string, run: string, lines: number): Promise<{ source: string; text: string }[]>;
  /**
   * The same at the beginning, with an empty `after`; then whole lines, each once, from `next` of the call before on. @throws
   * CutoverError request_invalid if `after` is no such place
   */
  follow(app: string, run: string, lines: number, after: string): Promise<Required<LogsView>>;
  /** Removes the logs of runs other than these. The logs of a run that supervisor has stay. */
  prune(app: string, keptRuns: string[]): Promise<void>;
}

/** Closes an app's site to visitors and opens it again, at once and without a reload. It stays across restarts and deploys. */
export interface Maintenance {
  /** undefined while the site is open. */
  state(app: string): Promise<MaintenanceView | undefined>;
  /**
   * Closes the site, or changes who is let through if it is closed. If it fails, an open site stays open.
   * @param allow IP addresses of visitors who are let through; they replace those given before
   * @returns what this call has made of it, whatever calls come after it
   * @throws CutoverError request_invalid for what is no IP address
   */
  begin(app: string, allow: string[]): Promise<MaintenanceView>;
  /** No error if the site is open. */
  end(app: string): Promise<void>;
}

/** A deployment's events on disk, so that a follower can resume after a restart of the agent. */
export interface EventFiles {
  /** Never throws: on a full disk a deployment must still be undone. */
  append(app: string, deployment: string, event: DeploymentEvent): void;
  /**
   * Those with a number above `after`, piece by piece as they are taken. None if there are none, or if they cannot be read. A
   * torn last line is left out.
   * @param after 0 unless given
   */
  read(app: string, deployment: string, after?: number): AsyncIterable<DeploymentEvent>;
  /** Removes the events of deployments other than these. */
  prune(app: string, keptDeployments: string[]): Promise<void>;
}

export interface AuditQuery {
  /** All apps if it is undefined. */
  app?: string | undefined;
  /** Milliseconds since the epoch. */
  since?: number | undefined;
  /** How many entries at most: the last ones. */
  limit: number;
}

/** Who did what, when, with what result. Entries are only appended. The oldest files are removed when there are too many. */
export interface AuditLog {
  /** Resolves when the line is on disk. Never throws: a log that cannot be written must not prevent a rollback. */
  record(entry: Omit<AuditEntry, "at">): Promise<void>;
  /** Oldest first. A torn line is left out. */
  read(query: AuditQuery): Promise<AuditEntry[]>;
}
