import { z } from "zod";
import { deploymentStates } from "../../shared/deployment-states.ts";
import { CutoverError } from "../../shared/errors.ts";
import { appName, releaseId, runId } from "../../shared/names.ts";
import { deploymentView, failure, releaseView } from "../../shared/protocol.ts";
import type { Releases, StateStore } from "../contracts/ports.ts";
import type { DeployRequest } from "../contracts/service.ts";

/** state.json of one app: its content, and how it is read. Files of every earlier agent still load. */

/** What is left to do of a deployment that an agent left at a safe point when it shut down. The next start does it. */
const resumePoint = z.union([
  z.strictObject({
    story: z.literal("deploy"),
    activate: z.boolean(),
    releaseCommand: z.boolean(),
    leaseMs: z.number(),
    /** Of the secret that renews the lease. Agents before it, and older Actions, write none. */
    leaseDigest: z.string().optional(),
  }),
  /** `up`: the instances were up before the deployment began. */
  z.strictObject({ story: z.literal("again"), up: z.boolean() }),
]);

/** A deployment as the journal keeps it: also with the state that callers never see. */
const deploymentRecord = deploymentView
  .extend({ state: z.enum(deploymentStates) })
  // Agents before the state `cutting_over` wrote `cut_over` for both. The phase is there when the traffic had moved.
  .transform((record) =>
    record.state === "cut_over" && record.phases.every(({ state }) => state !== "cut_over")
      ? { ...record, state: "cutting_over" as const }
      : record,
  );

/** What a deployment must still know when the agent comes back after a crash in the middle of it. */
const journal = z.strictObject({
  deployment: deploymentRecord,
  run: runId,
  /** The run that was live when the deployment began, and will drain. */
  from: runId.nullable(),
  /** The release came with this deployment, so undoing the deployment removes it. */
  brought: z.boolean(),
  /** Which release was published as `previous` before the cutover. Absent until then. */
  previous: releaseId.nullable().optional(),
  /** Of an activation of the staged run: its share of the traffic before, in percent. */
  weight: z.int().min(0).max(99).optional(),
  /** How often an agent has started to recover this deployment. */
  attempts: z.int().min(0),
  /** Why the release failed after the cutover, and whether the traffic goes back to `from`. */
  verdict: z.strictObject({ failure, back: z.boolean() }).optional(),
  /** Only while no agent runs, and only if the last one was asked to end. After a kill, what has not cut over is undone. */
  onward: resumePoint.optional(),
});

const appState = z.strictObject({
  format: z.literal(1),
  app: appName,
  live: runId.nullable(),
  /** `weight`: its share of the traffic, in percent. `deployment`: the one that staged it. */
  staged: z.strictObject({ run: runId, deployment: z.string(), weight: z.int().min(0).max(99).default(0) }).nullable(),
  /** The run before the live one, which stays up for `keep_warm`. */
  warm: z.strictObject({ run: runId, until: z.iso.datetime() }).nullable(),
  /** In the order in which they first had traffic; those that never had any keep the place where they arrived. No clock decides this order. */
  releases: z.array(releaseView),
  journal: journal.nullable(),
  /** Why the app takes no deployments until the open one is finished or undone. */
  held: z.string().nullable(),
  /** The last deployments that ended, newest first. */
  history: z.array(deploymentView),
});

export type StoredState = z.output<typeof appState>;
export type DeploymentRecord = z.output<typeof deploymentRecord>;
export type ResumePoint = z.output<typeof resumePoint>;

/** What the next start goes on with if the agent shuts down in the middle of a deploy. */
export function deployResumePoint(
  { activate, releaseCommand }: Pick<DeployRequest, "activate" | "releaseCommand">,
  { ms, digest }: { ms: number; digest?: string | undefined },
): ResumePoint {
  return { story: "deploy", activate, releaseCommand, leaseMs: ms, leaseDigest: digest };
}

export function emptyState(app: string): StoredState {
  return {
    format: 1,
    app,
    live: null,
    staged: null,
    warm: null,
    releases: [],
    journal: null,
    held: null,
    history: [],
  };
}

/** @throws CutoverError state_unreadable when the file is torn or of a newer format */
export async function loadState(states: Pick<StateStore, "load">, app: string): Promise<StoredState> {
  const value = await states.load(app);
  if (value === undefined) return emptyState(app);
  const result = appState.safeParse(value);
  if (result.success) return result.data;
  throw new CutoverError("state_unreadable", `The state file of ${app} cannot be read by this version of the agent.`, {
    unchanged: "The live release goes on serving.",
    fix: `Run the agent version that wrote it, or \`cutover repair ${app}\`, which rebuilds it from what is on the host.`,
    cause: result.error,
  });
}

/**
 * An app without a state file was never deployed, or its file is gone. If the file is gone, the live release would be taken
 * for a leftover.
 * @throws CutoverError state_unreadable
 */
export async function assertNeverLive(releases: Pick<Releases, "published">, app: string): Promise<void> {
  if ((await releases.published(app)).current === null) return;
  throw new CutoverError(
    "state_unreadable",
    `The state file of ${app} is gone, and the host has a release that was live.`,
    {
      unchanged: "The live release goes on serving.",
      fix: `Put it back from a backup, or run \`cutover repair ${app}\`, which rebuilds it from what is on the host.`,
    },
  );
}
