import { z } from "zod";
import { deploymentId } from "./audience.ts";
import { deploymentView, workflowRun } from "./deployment-view.ts";
import type { ManifestFile } from "./manifest.ts";
import { appName, digest, releaseId, releaseOfRun, runId } from "./names.ts";
import { requestsView } from "./requests-view.ts";

export const releaseState = z.enum(["unpacked", "staged", "live", "good", "rolled_back", "failed"]);
export type ReleaseState = z.output<typeof releaseState>;

export const releaseView = z.object({
  id: releaseId,
  state: releaseState,
  digest,
  commit: z.string(),
  repository: z.string(),
  created: z.iso.datetime(),
  /** The run of the workflow that brought it; absent if nothing said so. */
  run: workflowRun.optional(),
  /** When it first had traffic. */
  live_at: z.iso.datetime().optional(),
  /** It ran its release command, which no rollback undoes. */
  commanded: z.boolean().optional(),
  /** Kept on the host until it is unpinned. */
  pinned: z.boolean().optional(),
  /** false: it came to another host of its fleet than the first, so its processes with `hosts: first` do not run here. */
  first_host: z.boolean().optional(),
  /** It failed during its watch, and there was nothing to go back to. */
  unwell: z.boolean().optional(),
});
export type ReleaseView = z.output<typeof releaseView>;

export const instanceView = z.object({
  name: z.string(),
  run: runId,
  /** The process in cutover.yml that it belongs to; absent for a web instance. */
  process: z.string().optional(),
  /** supervisor's own word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED. */
  state: z.string(),
  pid: z.int().optional(),
  uptime: z.number().optional(),
  connections: z.int(),
  slots: z.int(),
  /** How often it was started again while its run was live; absent if never, and from agents of older versions. */
  restarts: z.int().optional(),
});

/** The site is closed to all visitors except those with these addresses. */
export const maintenanceView = z.object({ since: z.iso.datetime(), allow: z.array(z.string()) });
export type MaintenanceView = z.output<typeof maintenanceView>;

/** What wheels have to fit. */
export const hostView = z.object({
  /** As Python names it: x86_64, aarch64. */
  machine: z.string(),
  /** The version of glibc, such as 2.36; absent with another C library. */
  glibc: z.string().optional(),
  /** The versions of Python in the host's `python_path`, such as 3.11; that of `python3` first. */
  pythons: z.array(z.string()),
});
export type HostView = z.output<typeof hostView>;

export const appView = z.object({
  app: appName,
  live: runId.nullable(),
  staged: runId.nullable(),
  /** What part of the traffic the staged run has, in percent. */
  weight: z.int().default(0),
  /** The deployment whose abort removes the staged run. */
  staged_by: deploymentId.nullable().default(null),
  /** The previous live run, still up for `keep_warm`, and until when. */
  warm: z.object({ run: runId, until: z.iso.datetime() }).nullable(),
  previous: releaseId.nullable(),
  urls: z.array(z.string()),
  held: z.string().optional(),
  /** Absent while the site is open. */
  maintenance: maintenanceView.optional(),
  /** Set if the environment of the live release is gone, or its Python is gone or another one. `cutover heal` builds it again. */
  unbuilt: z.boolean().optional(),
  /** Set if supervisord does not answer, so that nothing is known of the instances' processes. */
  problem: z.string().optional(),
  /** What visitors saw in the last minute; absent if nginx writes no lines of requests for this app. */
  requests: requestsView.optional(),
  instances: z.array(instanceView),
  /** Since when restarts are counted, if the live run is older than the agent's own start. */
  restarts_since: z.iso.datetime().optional(),
  releases: z.array(releaseView),
  deployment: deploymentView.nullable(),
  /** Agents of older versions do not say it. */
  host: hostView.optional(),
});
export type AppView = z.output<typeof appView>;

/** Whether a rollback leads to the warm run, and needs no start: after a rollback it leads further back. */
export function rollbackIsImmediate({
  warm,
  previous,
  instances,
}: Pick<AppView, "warm" | "previous" | "instances">): boolean {
  if (warm === null || releaseOfRun(warm.run) !== previous) return false;
  return instances.every(({ run, state }) => run !== warm.run || state === "RUNNING");
}

/** The files of a release, without its configuration, which may contain its environment. */
export interface FilesView {
  release: string;
  /** The digest of its manifest. */
  digest: string;
  files: ManifestFile[];
}
/** Thousands of files are only compared, so a look at their shape is enough, and they are not copied. */
export const filesView = z.object({
  release: releaseId,
  digest,
  files: z.custom<ManifestFile[]>((value) => Array.isArray(value) && value.every(looksLikeFile)),
}) satisfies z.ZodType<FilesView>;

function looksLikeFile(value: Partial<ManifestFile> | null): boolean {
  return typeof value?.path === "string" && typeof value.sha256 === "string";
}
