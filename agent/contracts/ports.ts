import type { Readable } from "node:stream";
import type { Config } from "../../shared/config.ts";
import type { Manifest } from "../../shared/manifest.ts";
import type { AuditEntry, DeploymentEvent, FilesView, MaintenanceView, ReleaseView } from "../../shared/protocol.ts";
import type { AppSettings } from "../settings.ts";
import type { Instance, OutputListener, Privileged } from "./privileged.ts";

/**
 * What the deploy code (agent/deploy) needs and the host code (agent/host) supplies. The two never import each other;
 * agent/main.ts joins them. Every method throws CutoverError for what a person can act on.
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
}

/** Time is an argument, so that tests of waiting take milliseconds. `now` in milliseconds since the epoch. */
export interface Clock {
  /** Milliseconds since the epoch, for what is written down. Somebody may set the host's clock at any time. */
  now(): number;
  /** Milliseconds that only ever go forward, for limits and durations. */
  elapsed(): number;
  /** @throws the signal's reason when it is aborted first */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once, after so many milliseconds. @returns what cancels it */
  after(ms: number, run: () => void): () => void;
}

/** What the host's owner wrote about each app. Read anew at each call, so an edit needs no restart. */
export interface Apps {
  names(): Promise<string[]>;
  /** @throws CutoverError app_not_found, host_settings_invalid */
  settings(app: string): Promise<AppSettings>;
}

/** state.json of each app: temp, fsync, rename, fsync of the directory. The deploy code parses what it gets. */
export interface StateStore {
  /** undefined where no state was written yet */
  load(app: string): Promise<unknown>;
  save(app: string, state: object): Promise<void>;
  /** Copies the file beside itself, however it looks. @returns where to; undefined where there is none */
  keepCopy(app: string): Promise<string | undefined>;
}

/** Bytes that are missing for a release, the reserve counted among what is needed. */
export interface Shortage {
  needed: number;
  free: number;
}

/** Makes room for a release. @throws CutoverError disk_full where it cannot */
export type MakeRoom = (shortage: Shortage) => Promise<void>;

export interface UnpackOptions {
  /** Called with the manifest before any file is written; what it throws refuses the bundle. */
  accept(manifest: Manifest, digest: string): Promise<void>;
  /** The release whose files a thin bundle leaves out; undefined for a whole one. */
  base?: string | undefined;
  /** Called when the manifest's files do not fit, before any is written; without it they are refused. */
  makeRoom?: MakeRoom;
  signal: AbortSignal;
}

export interface Releases {
  /** Asked before a body of so many bytes is read: what is less than a release needs is too little all the more. */
  assertRoom(app: string, bytes: number, makeRoom: MakeRoom): Promise<void>;
  /** The bytes that removing these releases would give, with the environments that only they use. Nothing is removed. */
  gain(app: string, releases: string[]): Promise<number>;
  /**
   * Reads a bundle (zstd or gzip, told by magic bytes), checks each file against the manifest while writing it, and makes
   * `releases/<id>` appear at the end by one rename. What a thin bundle leaves out is copied from its base, and checked
   * as the rest is. Whatever is refused leaves nothing.
   * @throws CutoverError bundle_*, base_unusable, manifest_invalid, disk_full, aborted
   */
  unpack(app: string, bundle: Readable, options: UnpackOptions): Promise<{ manifest: Manifest; digest: string }>;
  /** @throws CutoverError release_not_found */
  config(app: string, release: string): Promise<Config>;
  /** As it was unpacked. @throws CutoverError release_not_found, manifest_invalid */
  manifest(app: string, release: string): Promise<Manifest>;
  /** What a release's manifest says of its files. @throws CutoverError release_not_found */
  files(app: string, release: string): Promise<FilesView>;
  /** Also what an interrupted unpack left. No error when it is not there. */
  remove(app: string, release: string): Promise<void>;
  /** What is there of releases, whole ones, in no order. One whose manifest cannot be read is left out. */
  list(app: string): Promise<StoredRelease[]>;
  /** Where the links point that `publish` makes. */
  published(app: string): Promise<{ current: string | null; previous: string | null }>;
  /** Durable: what was unpacked and built survives a power cut. */
  sync(app: string, release: string): Promise<void>;
  /** Points links at releases, each by one rename, so that the static files of all of them are found. */
  publish(app: string, links: PublishedLinks): Promise<void>;
}

export type StoredRelease = Pick<ReleaseView, "id" | "digest" | "commit" | "repository" | "created">;

/** null takes a link away; one that is not named stays as it is. Done in this order. */
export interface PublishedLinks {
  previous?: string;
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
  /** A release whose compiled bytecode may be reused for files that did not change. */
  reuse: string | null;
  /** The release had traffic before, and is no longer the app user's to write: only its environment is made again. */
  sealed?: boolean;
}

export interface Environments {
  /**
   * Makes the release's virtual environment, or finds the one with the same key, links it as `venv`, compiles bytecode.
   * @throws CutoverError python_not_found, environment_failed (evidence: pip's output), disk_full, aborted
   */
  build(context: BuildContext): Promise<{ key: string; reused: boolean }>;
  /** Whether a release has its environment still. */
  present(app: string, release: string): Promise<boolean>;
  /** Removes environments that none of these releases links to. */
  collect(app: string, keptReleases: string[]): Promise<void>;
}

/** A run's part of the traffic: its instances and how many of the 60 slots they hold together. */
export interface Share {
  run: string;
  instances: Instance[];
  slots: number;
}

/** Where visitors of one site go. The configuration is that of the release whose site it is. */
export interface RoutePart {
  config: Config;
  shares: Share[];
}

export interface Route {
  /** null before a first release has traffic. */
  main: RoutePart | null;
  /** What shows the staged release, or the live one while nothing is staged; null where no preview is configured. */
  preview: RoutePart | null;
}

/** What moves visitors from one run to another: links to sockets, without a reload; or ports in nginx's upstream, with one. */
export interface Traffic {
  /** Makes nginx send visitors there: all of them, or where it fails none. Idempotent. @throws CutoverError nginx_* */
  route(app: string, route: Route): Promise<{ reloaded: boolean }>;
  /** How many slots lead to each address. */
  assigned(app: string): Promise<Map<string, number>>;
  /** Whether no request can reach an instance without slots any more. `ports`: one of the two sides listens on ports. */
  settled(app: string, how: { ports: boolean }): Promise<boolean>;
  /** Removes what earlier routes left. */
  tidy(app: string): Promise<void>;
}

export type HealthAnswer =
  | { kind: "status"; status: number; body: string; location: string | undefined }
  | { kind: "unreachable"; reason: string };

export interface HealthProbe {
  /** One request to one instance, in the protocol that it speaks. Never throws for what the instance does. */
  check(instance: Instance, request: HealthRequest): Promise<HealthAnswer>;
}

export interface HealthRequest {
  path: string;
  host: string;
  timeoutMs: number;
}

export interface Connections {
  /** Open connections by address: accepted, and waiting in the backlog. */
  count(addresses: string[]): Promise<Map<string, number>>;
}

export interface InstanceLogs {
  /** The last lines of each instance's log, for the reason of a failure. */
  tail(app: string, run: string, lines: number): Promise<{ source: string; text: string }[]>;
  /** Removes the logs of runs other than these. */
  collect(app: string, keptRuns: string[]): Promise<void>;
}

/** Closes an app's site to visitors and opens it again, at once and without a reload. Stays across restarts and deploys. */
export interface Maintenance {
  /** undefined while the site is open. */
  state(app: string): Promise<MaintenanceView | undefined>;
  /** @param allow addresses of visitors who are let through, instead of those before */
  begin(app: string, allow: string[]): Promise<void>;
  /** No error when the site is open. */
  end(app: string): Promise<void>;
}

/** A deployment's events on disk, so that a follower can resume after the agent was restarted. */
export interface EventFiles {
  append(app: string, deployment: string, event: DeploymentEvent): void;
  /** Empty when there are none; a torn last line is left out. */
  read(app: string, deployment: string): Promise<DeploymentEvent[]>;
  /** Removes the events of deployments other than these. */
  collect(app: string, keptDeployments: string[]): Promise<void>;
}

export interface AuditQuery {
  app?: string | undefined;
  /** Milliseconds since the epoch. */
  since?: number | undefined;
  /** The last so many. */
  limit: number;
}

/** Who did what, when, with what result. Only ever appended to; the oldest files go when there are too many. */
export interface AuditLog {
  /** Resolves when the line is on disk. Never throws: that the log cannot be written must not keep a site from being rolled back. */
  record(entry: Omit<AuditEntry, "at">): Promise<void>;
  /** Oldest first; a torn line is left out. */
  read(query: AuditQuery): Promise<AuditEntry[]>;
}
