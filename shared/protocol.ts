import { z } from "zod";
import { appView, filesView, maintenanceView, releaseView } from "./app-view.ts";
import type { Call } from "./call.ts";
import { accepted, deploymentEvent, deploymentView } from "./deployment-view.ts";
import { appName, releaseId, runId } from "./names.ts";
import {
  appsView,
  certificatesView,
  certificateView,
  environmentView,
  historyView,
  logsView,
  repairView,
  trustView,
  verifyView,
} from "./operator-views.ts";
import { requestsView } from "./requests-view.ts";

export * from "./app-view.ts";
export * from "./deployment-view.ts";
export * from "./operator-views.ts";
export * from "./problem.ts";
export * from "./requests-view.ts";

/**
 * What the agent and its callers say to each other. Times are ISO 8601 in UTC, durations milliseconds unless a name
 * says otherwise.
 */
export const protocolVersion = 1;

/** How long one call may wait for another deployment of the app, or for a deployment's end. */
export const maxWaitSeconds = 3600;
/** Asking renews a lease, so it need not be long. It must be short: a caller that stops asking must not keep the app. */
const maxLeaseSeconds = 300;
/**
 * The header with the secret of a lease, which the caller makes: it comes with the bundle, and whoever asks for the
 * deployment with it renews the lease. A deployment's id alone does not.
 */
export const leaseHeader = "cutover-lease";
export const leaseSecret = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "43 characters of A-Z, a-z, 0-9, _ and -");
/**
 * The header with which a deploy of an older run than the live one's is taken: `true`. A header and no query, since an
 * older agent refuses a query that it does not know.
 */
export const allowOlderHeader = "cutover-allow-older";
/**
 * The header with which a deploy comes to another host than the first of its fleet: `false`. Processes with `hosts: first`
 * do not run there. An older agent does not look at it.
 */
export const firstHostHeader = "cutover-first-host";
/**
 * The header with which a local operator's command says who they are on the host, for the audit log. Only the admin socket
 * looks at it.
 */
export const operatorHeader = "cutover-operator";
/** As Debian's `adduser` takes a name, and a little more. */
export const operatorName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/);
/** Of the instances' logs and of the history, in one answer. */
export const maxLines = 10_000;

// In a query every value is text.
const seconds = z.coerce.number().int().min(0).max(maxWaitSeconds);
const yesOrNo = z.enum(["true", "false"]).transform((text) => text === "true");
const lines = z.coerce.number().int().min(1).max(maxLines);

/** `wait`: seconds to wait while another deployment of the app runs. */
const waiting = z.strictObject({ wait: seconds.default(0) });

const health = z.object({
  name: z.literal("cutover-agent"),
  version: z.string(),
  protocol: z.int(),
});

/**
 * Every call of the HTTP interface, for the agent, the Action and the command line. An error is answered with a
 * `problem`.
 */
export const calls = {
  health: { method: "GET", path: "/healthz", who: "anyone", answer: health },
  /** For Prometheus. On the network only if agent.yml says so. */
  metrics: { method: "GET", path: "/metrics", who: "anyone", answer: z.string() },

  /**
   * Brings a bundle. The answer comes when it is verified and unpacked; the same bundle again gets the same deployment.
   */
  deploy: {
    method: "POST",
    path: "/v1/apps/:app/releases",
    who: "token",
    query: z.strictObject({
      ...waiting.shape,
      /** false: stop when the release is healthy, and keep it staged. */
      activate: yesOrNo.default(true),
      /** false: another host of the same deploy has run the release command. */
      release_command: yesOrNo.default(true),
      /** Seconds for which a staged release keeps the app for its activation, from the last time its holder asked for it. */
      lease: seconds.max(maxLeaseSeconds).default(0),
      /** The release over which the bundle is thin. */
      base: releaseId.optional(),
    }),
    body: "bundle",
    answer: accepted,
  },
  /** Gives the traffic to a staged or an earlier release. `weight` in percent: below 100 a staged release is a canary. */
  activate: {
    method: "POST",
    path: "/v1/apps/:app/releases/:release/activate",
    who: "token",
    query: waiting,
    body: z.strictObject({ weight: z.int().min(1).max(100).default(100) }),
    answer: accepted,
  },
  /** Fresh instances of a release, or of the live one. */
  redeploy: {
    method: "POST",
    path: "/v1/apps/:app/redeploy",
    who: "token",
    query: waiting,
    body: z.strictObject({ release: releaseId.optional() }),
    answer: accepted,
  },
  /**
   * Goes back to the last good release. `from`: only while that release is live, so that nobody goes back further than
   * that.
   */
  rollback: {
    method: "POST",
    path: "/v1/apps/:app/rollback",
    who: "token",
    query: waiting,
    body: z.strictObject({ from: releaseId.optional() }),
    answer: accepted,
  },
  /** Undoes a deployment that has not cut over, also a staged one. */
  abort: {
    method: "POST",
    path: "/v1/deployments/:id/abort",
    who: "token",
    query: z.strictObject({}),
    answer: deploymentView,
  },

  app: { method: "GET", path: "/v1/apps/:app", who: "token", answer: appView },
  /** `:release` may be `live`. `form=columns`: as `filesColumns`; an agent that does not know it answers by rows. */
  files: {
    method: "GET",
    path: "/v1/apps/:app/releases/:release/files",
    who: "token",
    query: z.object({ form: z.enum(["rows", "columns"]).default("rows") }),
    answer: filesView,
  },
  /** A deployment's id cannot be guessed. `wait`: seconds to wait until it is at rest. */
  deployment: { method: "GET", path: "/v1/deployments/:id", who: "anyone", query: waiting, answer: deploymentView },
  /** From the first event, or from the one after `after`; ends after the event `end`. */
  events: {
    method: "GET",
    path: "/v1/deployments/:id/events",
    who: "anyone",
    query: z.strictObject({ after: z.coerce.number().int().min(0).optional() }),
    answer: deploymentEvent,
    stream: true,
  },

  apps: { method: "GET", path: "/v1/apps", who: "operator", answer: appsView },
  /** `data`: also what outlives releases, such as uploads, which otherwise stays unless there is nothing. */
  removeApp: {
    method: "DELETE",
    path: "/v1/apps/:app",
    who: "operator",
    query: z.strictObject({ data: yesOrNo.default(false) }),
    answer: z.undefined(),
  },
  repair: { method: "POST", path: "/v1/apps/:app/repair", who: "operator", answer: repairView },
  /** Hashes all files of the app's releases again. What differs in the store is not used any more. */
  verify: { method: "POST", path: "/v1/apps/:app/verify", who: "operator", answer: verifyView },
  pin: { method: "PUT", path: "/v1/apps/:app/releases/:release/pin", who: "operator", answer: releaseView },
  unpin: { method: "DELETE", path: "/v1/apps/:app/releases/:release/pin", who: "operator", answer: releaseView },
  /** Closes the site to all visitors except those with these addresses. */
  closeSite: {
    method: "PUT",
    path: "/v1/apps/:app/maintenance",
    who: "operator",
    body: z.strictObject({ allow: z.array(z.string().max(64)).max(256).default([]) }),
    answer: maintenanceView,
  },
  openSite: { method: "DELETE", path: "/v1/apps/:app/maintenance", who: "operator", answer: z.undefined() },
  /** Of the sites with `tls: auto`. */
  certificates: { method: "GET", path: "/v1/certificates", who: "operator", answer: certificatesView },
  /** Orders a site's certificate now, and answers when it is there. */
  renewCertificate: {
    method: "POST",
    path: "/v1/apps/:app/certificate",
    who: "operator",
    answer: certificateView,
  },
  trust: { method: "GET", path: "/v1/apps/:app/trust", who: "operator", answer: trustView },
  /** Holds the app's secrets. */
  environment: { method: "GET", path: "/v1/apps/:app/environment", who: "operator", answer: environmentView },
  /** The last lines of the live run's instances, or of another run's. */
  logs: {
    method: "GET",
    path: "/v1/apps/:app/logs",
    who: "operator",
    query: z.strictObject({
      lines: lines.default(100),
      run: runId.optional(),
      /** To follow: an empty text at the beginning, then `next` of the answer before. */
      after: z.string().max(10_000).optional(),
    }),
    answer: logsView,
  },
  /** What visitors saw in the last seconds; nothing (204) if nginx writes no lines of requests for this app. */
  requests: {
    method: "GET",
    path: "/v1/apps/:app/requests",
    who: "operator",
    query: z.strictObject({ seconds: seconds.min(1).default(60) }),
    answer: requestsView.optional(),
  },
  /** The last `limit` lines of the audit log. */
  history: {
    method: "GET",
    path: "/v1/history",
    who: "operator",
    query: z.strictObject({
      app: appName.optional(),
      since: z.iso.datetime().optional(),
      limit: lines.default(200),
    }),
    answer: historyView,
  },
} as const satisfies Record<string, Call>;
