import { z } from "zod";
import { deploymentId } from "./audience.ts";
import { reportedStates } from "./deployment-states.ts";
import { appName, releaseId } from "./names.ts";
import { failure } from "./problem.ts";
import { deploymentRequests } from "./requests-view.ts";

const reportedState = z.enum(reportedStates);

/** `staged`: healthy, without traffic, and at rest until it is activated, aborted or replaced. */
export const outcome = z.enum(["running", "succeeded", "staged", "failed", "aborted"]);
export type Outcome = z.output<typeof outcome>;

export const deploymentKind = z.enum(["deploy", "activate", "redeploy", "rollback"]);
export type DeploymentKind = z.output<typeof deploymentKind>;

/** `workflow`: `owner/name/` and the path of its file. GitHub numbers the runs of each workflow file, over all its branches. */
export const workflowRun = z.object({ workflow: z.string(), number: z.int().min(0), attempt: z.int().min(0) });
export type WorkflowRun = z.output<typeof workflowRun>;

/** Who began a deployment: what the token says, or the local operator. */
export const actor = z.object({
  subject: z.string(),
  repository: z.string().optional(),
  run_url: z.string().optional(),
  /** Which run of which workflow; absent if the token does not say. */
  run: workflowRun.optional(),
  /** The entry of the app's `trust` that let the call in: a repository with its conditions, or the beginning of a key. */
  trust: z.string().optional(),
  /** Of a local operator: the name that their command says. The socket proves no more than that they may open it. */
  user: z.string().optional(),
});
export type Actor = z.output<typeof actor>;

/** Who it was, for a person: a repository, or a name. Untrusted text. */
export function actorName({ repository, user, subject }: Actor): string {
  return repository ?? (user === undefined ? subject : `${user} (${subject})`);
}

export const phase = z.object({ state: reportedState, took: z.number() });

/** `well`: shown to be no worse than the live release. `few`: too few requests. `unjudged`: nothing can be said, now or at all. */
export const canaryView = z.object({
  weight: z.int(),
  verdict: z.enum(["few", "open", "well", "worse", "unjudged"]).catch("unjudged"),
  /** The same as a sentence for a person, without a full stop. */
  said: z.string(),
});

export const deploymentView = z.object({
  id: deploymentId,
  app: appName,
  kind: deploymentKind,
  /** Absent until the manifest of a deploy has been read. */
  release: releaseId.optional(),
  state: reportedState,
  outcome,
  by: actor,
  started: z.iso.datetime(),
  /** The release that was live when it began; null if there was none. An older agent does not say. */
  before: releaseId.nullable().optional(),
  finished: z.iso.datetime().optional(),
  /** For an activation: the part of the traffic that the release was given, in percent. */
  weight: z.int().optional(),
  phases: z.array(phase),
  /** Requests still open on the old instances when they were stopped. */
  cut: z.int().optional(),
  /** Requests that were open on the old instances when the traffic left them, and that ended by themselves. */
  drained: z.int().optional(),
  /** What visitors saw after the cutover; absent if nobody came, or if not all requests could be counted. */
  requests: deploymentRequests.optional(),
  failure: failure.optional(),
  /** For a deployment whose release is a canary now: what is known of its visitors. Agents of older versions do not say it. */
  canary: canaryView.optional(),
});
export type DeploymentView = z.output<typeof deploymentView>;

const eventBase = { id: z.int().min(1), at: z.iso.datetime() };

/** One line of a deployment's events. `id` counts from 1 without gaps, so that a follower can resume after any. */
export const deploymentEvent = z.discriminatedUnion("type", [
  /** A state was reached. `took`: since the previous state. */
  z.object({
    ...eventBase,
    type: z.literal("state"),
    state: reportedState,
    took: z.number(),
    note: z.string().optional(),
  }),
  /** Output of pip, the release command or an instance. Untrusted text, without its newline. */
  z.object({ ...eventBase, type: z.literal("output"), source: z.string(), line: z.string() }),
  /**
   * Something that a person should read: what the deployment waits for, what it replaced. `warning`: the deployment goes on, and
   * the person should look at it.
   */
  z.object({
    ...eventBase,
    type: z.literal("notice"),
    message: z.string(),
    level: z.literal("warning").optional().catch(undefined),
  }),
  /** The last event: how it ended. */
  z.object({ ...eventBase, type: z.literal("end"), deployment: deploymentView }),
]);
export type DeploymentEvent = z.output<typeof deploymentEvent>;

export const accepted = z.object({ deployment: deploymentId, release: releaseId });
export type Accepted = z.output<typeof accepted>;
