import type { SlotLink } from "../../agent/host/nginx/slots.ts";
import type { DeploymentEvent } from "../../shared/protocol.ts";
import type { SimManifest } from "./bundle.ts";

/** A release on disk. `synced`: it survives a power cut. `whole`: all of its files are there. */
export interface StoredRelease {
  manifest: SimManifest;
  digest: string;
  synced: boolean;
  whole: boolean;
  /** The contents of its files. */
  objects: string[];
}

/** A content in the store. `torn`: a power cut took it before it was synced. */
export interface StoredObject {
  synced: boolean;
  torn: boolean;
}

/** An app's directory. What a power cut takes away has a durable form beside it. */
export class AppDisk {
  readonly app: string;
  /** It was prepared. */
  home = false;
  /** state.json: as a reader sees it, and as it is after a power cut. */
  state: string | undefined;
  durableState: string | undefined;
  readonly releases = new Map<string, StoredRelease>();
  readonly objects = new Map<string, StoredObject>();
  /** Objects may exist that a power cut could take away. */
  unsynced = false;
  /** Releases whose environment is there. */
  readonly environments = new Set<string>();
  readonly links: Record<"current" | "previous" | "canary" | "staged", string | null> = {
    current: null,
    previous: null,
    canary: null,
    staged: null,
  };
  /** Directories of slots, by name: where each of the 60 links leads. */
  readonly slotDirs = new Map<string, string[]>();
  readonly slotLinks = new Map<SlotLink, string>();
  /** Run directories, with their launch files: of the web instances or of a process. */
  readonly runs = new Set<string>();
  readonly launches = new Map<string, Set<string>>();
  /** When the launch files of a run's web instances were written, by the wall clock. */
  readonly launchedAt = new Map<string, number>();
  readonly ports = new Map<string, number[]>();
  maintenance: string | undefined;
  readonly allow = new Set<string>();
  readonly events = new Map<string, DeploymentEvent[]>();
  readonly logs = new Set<string>();

  constructor(app: string) {
    this.app = app;
  }

  sockets(link: SlotLink): string[] {
    return this.slotDirs.get(this.slotLinks.get(link) ?? "") ?? [];
  }

  /** What was not synced is gone or torn, and what runs has no sockets. */
  powerCut(keepsUnsynced: boolean): void {
    if (!keepsUnsynced) this.state = this.durableState;
    this.durableState = this.state;
    for (const release of this.releases.values()) {
      if (release.synced) continue;
      if (!keepsUnsynced) release.whole = false;
      release.synced = true;
    }
    for (const object of this.objects.values()) {
      if (!object.synced && !keepsUnsynced) object.torn = true;
      object.synced = true;
    }
  }

  /** Objects that no release has. */
  unused(): string[] {
    const used = new Set([...this.releases.values()].flatMap(({ objects }) => objects));
    return [...this.objects.keys()].filter((name) => !used.has(name));
  }

  remove(): void {
    this.unsynced = false;
    this.home = false;
    this.state = undefined;
    this.durableState = undefined;
    this.maintenance = undefined;
    const slots = [this.slotDirs, this.slotLinks];
    const runs = [this.launches, this.launchedAt, this.ports];
    for (const entries of [this.objects, this.releases, ...slots, ...runs, this.events]) entries.clear();
    for (const set of [this.environments, this.runs, this.allow, this.logs]) set.clear();
    for (const link of ["current", "previous", "canary", "staged"] as const) this.links[link] = null;
  }
}

export function socketOf(app: string, run: string, name: string): string {
  return `/app/${app}/run/${run}/${name}.sock`;
}
