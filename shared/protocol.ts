import { z } from "zod";
import { deploymentId } from "./audience.ts";
import { reportedStates } from "./deployment-states.ts";
import type { CutoverError } from "./errors.ts";
import type { ManifestFile } from "./manifest.ts";
import { appName, digest, releaseId, runId } from "./names.ts";

/** What the agent and those who call it say to each other. Times are ISO 8601 in UTC, durations milliseconds. */
export const protocolVersion = 1;

const reportedState = z.enum(reportedStates);

/** `staged`: healthy, without traffic, and at rest until it is activated, aborted or replaced. */
export const outcome = z.enum(["running", "succeeded", "staged", "failed", "aborted"]);
export type Outcome = z.output<typeof outcome>;

export const deploymentKind = z.enum(["deploy", "activate", "redeploy", "rollback"]);
export type DeploymentKind = z.output<typeof deploymentKind>;

/** Why something failed, for a person. `code` is one of shared/errors.ts, kept open so that an older client reads a newer agent. */
export const failure = z.object({
  code: z.string(),
  detail: z.string(),
  unchanged: z.string().optional(),
  fix: z.string().optional(),
  evidence: z.array(z.object({ source: z.string(), text: z.string() })).optional(),
});
export type Failure = z.output<typeof failure>;

export function toFailure({ code, message, unchanged, fix, evidence }: CutoverError): Failure {
  return {
    code,
    detail: message,
    ...(unchanged !== undefined && { unchanged }),
    ...(fix !== undefined && { fix }),
    ...(evidence.length > 0 && { evidence }),
  };
}

/** The same as the answer to a call: an RFC 9457 problem document. */
export const problem = failure.extend({
  type: z.string().default("about:blank"),
  title: z.string(),
  status: z.int(),
});
export type Problem = z.output<typeof problem>;

/** Who holds a deployment: what the token said, or the local operator. */
export const actor = z.object({
  subject: z.string(),
  repository: z.string().optional(),
  run_url: z.string().optional(),
});
export type Actor = z.output<typeof actor>;

export const phase = z.object({ state: reportedState, took: z.number() });

export const deploymentView = z.object({
  id: deploymentId,
  app: appName,
  kind: deploymentKind,
  /** Absent until a deploy's manifest was read. */
  release: releaseId.optional(),
  state: reportedState,
  outcome,
  by: actor,
  started: z.iso.datetime(),
  finished: z.iso.datetime().optional(),
  /** Of an activation: what part of the traffic the release was given, in percent. */
  weight: z.int().optional(),
  phases: z.array(phase),
  /** Requests still open on the old instances when they were stopped. */
  cut: z.int().optional(),
  /** Requests that were open on the old instances when the traffic left them, and ended by themselves. */
  drained: z.int().optional(),
  failure: failure.optional(),
});
export type DeploymentView = z.output<typeof deploymentView>;

const eventBase = { id: z.int().min(1), at: z.iso.datetime() };

/** One line of a deployment's events. `id` counts from 1 without gaps, so that a follower can resume after any. */
export const deploymentEvent = z.discriminatedUnion("type", [
  /** A state was reached; `took` since the one before. */
  z.object({
    ...eventBase,
    type: z.literal("state"),
    state: reportedState,
    took: z.number(),
    note: z.string().optional(),
  }),
  /** Output of pip, the release command or an instance. Untrusted text, without its newline. */
  z.object({ ...eventBase, type: z.literal("output"), source: z.string(), line: z.string() }),
  /** Something worth a line for a person: what is being waited for, what was replaced. */
  z.object({ ...eventBase, type: z.literal("notice"), message: z.string() }),
  /** The last event: how it ended. */
  z.object({ ...eventBase, type: z.literal("end"), deployment: deploymentView }),
]);
export type DeploymentEvent = z.output<typeof deploymentEvent>;

export const accepted = z.object({ deployment: deploymentId, release: releaseId });
export type Accepted = z.output<typeof accepted>;

export const releaseState = z.enum(["unpacked", "staged", "live", "good", "rolled_back", "failed"]);
export type ReleaseState = z.output<typeof releaseState>;

export const releaseView = z.object({
  id: releaseId,
  state: releaseState,
  digest,
  commit: z.string(),
  repository: z.string(),
  created: z.iso.datetime(),
  /** When it first had traffic. */
  live_at: z.iso.datetime().optional(),
  /** It ran its release command, which no rollback undoes. */
  commanded: z.boolean().optional(),
  /** Kept on the host until it is unpinned. */
  pinned: z.boolean().optional(),
  /** It failed while it was watched, and nothing was there to go back to. */
  unwell: z.boolean().optional(),
});
export type ReleaseView = z.output<typeof releaseView>;

export const instanceView = z.object({
  name: z.string(),
  run: runId,
  /** The process of cutover.yml that it belongs to; absent for a web instance. */
  process: z.string().optional(),
  /** supervisor's own word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED. */
  state: z.string(),
  pid: z.int().optional(),
  uptime: z.number().optional(),
  connections: z.int(),
  slots: z.int(),
});

/** Closed to all visitors but those with these addresses. */
export const maintenanceView = z.object({ since: z.iso.datetime(), allow: z.array(z.string()) });
export type MaintenanceView = z.output<typeof maintenanceView>;

export const appView = z.object({
  app: appName,
  live: runId.nullable(),
  staged: runId.nullable(),
  /** What part of the traffic the staged run has, in percent. */
  weight: z.int().default(0),
  /** The deployment whose abort takes the staged run away. */
  staged_by: deploymentId.nullable().default(null),
  /** The run before the live one, still up for `keep_warm`, and until when. */
  warm: z.object({ run: runId, until: z.iso.datetime() }).nullable(),
  previous: releaseId.nullable(),
  urls: z.array(z.string()),
  held: z.string().optional(),
  /** Absent while the site is open. */
  maintenance: maintenanceView.optional(),
  /** Why nothing is known of the instances' processes: supervisord does not answer. */
  problem: z.string().optional(),
  instances: z.array(instanceView),
  releases: z.array(releaseView),
  deployment: deploymentView.nullable(),
});
export type AppView = z.output<typeof appView>;

/** What a release holds, file by file: nothing of its configuration, since its environment may be in there. */
export interface FilesView {
  release: string;
  /** The digest of its manifest. */
  digest: string;
  files: ManifestFile[];
}
/** The thousands of files are only compared with, so their shape is enough, and they need not be copied. */
export const filesView = z.object({
  release: releaseId,
  digest,
  files: z.custom<ManifestFile[]>((value) => Array.isArray(value) && value.every(looksLikeFile)),
}) satisfies z.ZodType<FilesView>;

function looksLikeFile(value: Partial<ManifestFile> | null): boolean {
  return typeof value?.path === "string" && typeof value.sha256 === "string";
}

export const healthView = z.object({
  name: z.literal("cutover-agent"),
  version: z.string(),
  protocol: z.int(),
});

/**
 * One line of the audit log. `begun` and `ended`: of a deployment; `done`: a call that is none; `refused`: a call that
 * changed nothing. A refused caller without a valid token has no name, and what it asked for is only its word.
 */
export const auditEntry = z.object({
  at: z.iso.datetime(),
  event: z.enum(["begun", "ended", "done", "refused"]),
  /** A deployment's kind, or another call: abort, maintenance_on, maintenance_off, remove_app, read. */
  what: z.string(),
  app: z.string(),
  by: actor.optional(),
  deployment: z.string().optional(),
  release: z.string().optional(),
  weight: z.int().optional(),
  outcome: outcome.optional(),
  /** Of the error with which it ended or was refused. */
  code: z.string().optional(),
  /** Why a token was refused. */
  reason: z.string().optional(),
  /** Milliseconds from the deployment's beginning to its end. */
  took: z.number().optional(),
  /** What the call's line in the agent's log has. */
  reference: z.string().optional(),
});
export type AuditEntry = z.output<typeof auditEntry>;

/** Answers that only the admin socket gives. `environmentView` holds the app's secrets. */
export const appsView = z.object({ apps: z.array(appName) });
export const historyView = z.object({ entries: z.array(auditEntry) });
export const logsView = z.object({ logs: z.array(z.object({ source: z.string(), text: z.string() })) });
export const environmentView = z.object({
  release: releaseId,
  directory: z.string(),
  env: z.record(z.string(), z.string()),
  uid: z.int().optional(),
  gid: z.int().optional(),
});

/** Whom an app trusts. Of a repository, ids that were learnt at `learnt` or that stand in the app's settings. */
export const trustView = z.object({
  app: appName,
  trust: z.array(
    z.object({
      key: z.string().optional(),
      github: z
        .object({
          repository: z.string(),
          issuer: z.string(),
          repository_id: z.string().optional(),
          owner_id: z.string().optional(),
          learnt: z.iso.datetime().optional(),
          environment: z.string().optional(),
          ref: z.string().optional(),
          any_ref: z.boolean().optional(),
          events: z.array(z.string()).optional(),
        })
        .optional(),
      comment: z.string().optional(),
      allow: z.array(z.string()),
    }),
  ),
});
export type TrustView = z.output<typeof trustView>;

/** What a repair did, in order; `held` where the app takes no deployments all the same. */
export const repairView = z.object({ app: appName, done: z.array(z.string()), held: z.string().optional() });
export type RepairView = z.output<typeof repairView>;

/** `weight` in percent: below 100 the staged release is a canary beside the live one. */
export const activateBody = z.strictObject({ weight: z.int().min(1).max(100).default(100) });
export const maintenanceBody = z.strictObject({ allow: z.array(z.string().max(64)).max(256).default([]) });
/** `from`: only while that release is live. Whoever goes back from a release must not go back further than that. */
export const rollbackBody = z.strictObject({ from: releaseId.optional() });
export const redeployBody = z.strictObject({ release: releaseId.optional() });

/** The paths of the HTTP interface, in one place for the agent, the Action and the command line. */
export const routes = {
  health: () => "/healthz",
  /** On the network only where agent.yml says so. */
  metrics: () => "/metrics",
  releases: (app: string) => `/v1/apps/${app}/releases`,
  files: (app: string, release: string) => `/v1/apps/${app}/releases/${release}/files`,
  activate: (app: string, release: string) => `/v1/apps/${app}/releases/${release}/activate`,
  redeploy: (app: string) => `/v1/apps/${app}/redeploy`,
  rollback: (app: string) => `/v1/apps/${app}/rollback`,
  app: (app: string) => `/v1/apps/${app}`,
  apps: () => "/v1/apps",
  deployment: (id: string) => `/v1/deployments/${id}`,
  events: (id: string) => `/v1/deployments/${id}/events`,
  abort: (id: string) => `/v1/deployments/${id}/abort`,
  /** Only on the admin socket. */
  environment: (app: string) => `/v1/apps/${app}/environment`,
  history: () => "/v1/history",
  logs: (app: string) => `/v1/apps/${app}/logs`,
  maintenance: (app: string) => `/v1/apps/${app}/maintenance`,
  pin: (app: string, release: string) => `/v1/apps/${app}/releases/${release}/pin`,
  trust: (app: string) => `/v1/apps/${app}/trust`,
  repair: (app: string) => `/v1/apps/${app}/repair`,
} as const;
