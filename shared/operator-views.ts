import { z } from "zod";
import { actor, outcome } from "./deployment-view.ts";
import { appName, releaseId } from "./names.ts";

/**
 * One line of the audit log. `begun` and `ended`: a deployment. `done`: a call that is no deployment. `refused`: a call
 * that changed nothing. A refused caller without a valid token has no name, and what it asked for is unproven.
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
  /** The code of the error with which it ended or was refused. */
  code: z.string().optional(),
  /** Why a token was refused. */
  reason: z.string().optional(),
  /** Milliseconds from the deployment's beginning to its end. */
  took: z.number().optional(),
  /** The same as in the call's line in the agent's log. */
  reference: z.string().optional(),
});
export type AuditEntry = z.output<typeof auditEntry>;

/** Answers that only the admin socket gives. `environmentView` contains the app's secrets. */
export const appsView = z.object({ apps: z.array(appName) });
export const historyView = z.object({ entries: z.array(auditEntry) });
export const logsView = z.object({
  logs: z.array(z.object({ source: z.string(), text: z.string() })),
  /** Where the next call goes on; only if the call has `after`. */
  next: z.string().optional(),
});
export type LogsView = z.output<typeof logsView>;
export const environmentView = z.object({
  release: releaseId,
  directory: z.string(),
  env: z.record(z.string(), z.string()),
  uid: z.int().optional(),
  gid: z.int().optional(),
});

/**
 * The certificate of a site with `tls: auto`. `waits`: why none is ordered yet. `renews`: when it will be renewed, `next`: the
 * earliest time of the next order. `served`: whether nginx has it.
 */
export const certificateView = z.object({
  app: appName,
  names: z.array(z.string()),
  certificate: z
    .object({
      names: z.array(z.string()),
      issuer: z.string(),
      begins: z.iso.datetime(),
      expires: z.iso.datetime(),
      served: z.boolean(),
    })
    .optional(),
  renews: z.iso.datetime().optional(),
  /** Orders that failed since the last one that did not, and the last of them. */
  failures: z.int(),
  failed: z.object({ at: z.iso.datetime(), reason: z.string() }).optional(),
  next: z.iso.datetime().optional(),
  waits: z.string().optional(),
});
export type CertificateView = z.output<typeof certificateView>;
export const certificatesView = z.object({ certificates: z.array(certificateView) });

/** Whom an app trusts. A repository's ids were learnt at `learnt`, or come from the app's settings. */
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
          workflow: z.string().optional(),
          job_workflow: z.string().optional(),
          runner: z.string().optional(),
          ref_protected: z.boolean().optional(),
          events: z.array(z.string()).optional(),
        })
        .optional(),
      comment: z.string().optional(),
      /** The last day on which it counts. */
      expires: z.string().optional(),
      allow: z.array(z.string()),
    }),
  ),
});
export type TrustView = z.output<typeof trustView>;

/** A file that is not as it was unpacked. Its path is below the release, or below the app's directory for a file of the store. */
export const storeFault = z.object({
  release: releaseId.optional(),
  path: z.string(),
  what: z.enum(["changed", "missing", "unexpected"]),
});
export type StoreFault = z.output<typeof storeFault>;

/** What hashing all files of an app again has found. `more`: faults that are not listed. */
export const verifyView = z.object({
  app: appName,
  releases: z.array(releaseId),
  files: z.int(),
  bytes: z.int(),
  faults: z.array(storeFault),
  more: z.int(),
});
export type VerifyView = z.output<typeof verifyView>;

/** What a repair did, in order. `held`: why the app still takes no deployments. */
export const repairView = z.object({ app: appName, done: z.array(z.string()), held: z.string().optional() });
export type RepairView = z.output<typeof repairView>;
