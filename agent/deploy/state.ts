import { z } from "zod";
import { CutoverError } from "../../shared/errors.ts";
import type { Manifest } from "../../shared/manifest.ts";
import { appName, releaseOfRun, runId } from "../../shared/names.ts";
import { type DeploymentView, deploymentView, failure, type ReleaseState, releaseView } from "../../shared/protocol.ts";
import type { Releases, StateStore } from "../contracts/ports.ts";

/** What is left to do of a deployment that an agent which shut down has left at a safe point, for the next start. */
const onwardSchema = z.union([
  z.strictObject({
    story: z.literal("deploy"),
    activate: z.boolean(),
    releaseCommand: z.boolean(),
    leaseMs: z.number(),
  }),
  /** `up`: the instances were, before it began. */
  z.strictObject({ story: z.literal("again"), up: z.boolean() }),
]);
export type Onward = z.output<typeof onwardSchema>;

/** What a deployment must still know when the agent comes back after a crash in the middle of it. */
const journalSchema = z.strictObject({
  deployment: deploymentView,
  run: runId,
  /** The run that was live when the deployment began, and will drain. */
  from: runId.nullable(),
  /** The release came with this deployment, so undoing removes it. */
  brought: z.boolean(),
  /** How often a start of the agent has taken this deployment up again. */
  attempts: z.int().min(0),
  /** Why the release failed after the cutover, and whether the traffic goes back to `from`. */
  verdict: z.strictObject({ failure, back: z.boolean() }).optional(),
  /** Only while no agent runs, and only where the last one was asked to end: after a kill what has not cut over is undone. */
  onward: onwardSchema.optional(),
});
export type Journal = z.output<typeof journalSchema>;

const appStateSchema = z.strictObject({
  format: z.literal(1),
  app: appName,
  live: runId.nullable(),
  /** `weight`: what part of the traffic it has, in percent. */
  staged: z.strictObject({ run: runId, deployment: z.string(), weight: z.int().min(0).max(99).default(0) }).nullable(),
  /** The run before the live one, up for `keep_warm`. */
  warm: z.strictObject({ run: runId, until: z.iso.datetime() }).nullable(),
  /** In the order in which they first had traffic; those that never had any stand where they arrived. No clock decides this order. */
  releases: z.array(releaseView),
  journal: journalSchema.nullable(),
  /** Why the app takes no deployments until a person has looked at it. */
  held: z.string().nullable(),
  /** The last deployments that ended, newest first. */
  history: z.array(deploymentView),
});

/** state.json of one app: the journal from which an interrupted deployment is finished or undone. */
export type AppState = z.output<typeof appStateSchema>;
export type ReleaseRecord = AppState["releases"][number];

const historyLength = 20;

export function emptyState(app: string): AppState {
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

/** @throws CutoverError app_held when the file is torn or of a newer format */
export async function loadState(states: Pick<StateStore, "load">, app: string): Promise<AppState> {
  const value = await states.load(app);
  if (value === undefined) return emptyState(app);
  const result = appStateSchema.safeParse(value);
  if (result.success) return result.data;
  throw new CutoverError("app_held", `The state file of ${app} cannot be read by this version of the agent.`, {
    unchanged: "The live release goes on serving.",
    fix: `Run the agent version that wrote it, or \`cutover repair ${app}\`, which makes it anew from what is on the host.`,
    cause: result.error,
  });
}

/**
 * An app without a state is one that was never deployed, or its file is gone: then the live release would be taken for
 * a leftover. @throws CutoverError app_held
 */
export async function assertNeverLive(releases: Pick<Releases, "published">, app: string): Promise<void> {
  if ((await releases.published(app)).current === null) return;
  throw new CutoverError("app_held", `The state file of ${app} is gone, and the host has a release that was live.`, {
    unchanged: "The live release goes on serving.",
    fix: `Put it back from a backup, or run \`cutover repair ${app}\`, which makes it anew from what is on the host.`,
  });
}

export function findRelease(state: AppState, release: string): ReleaseRecord | undefined {
  return state.releases.find(({ id }) => id === release);
}

export function liveRelease(state: AppState): string | null {
  return state.live === null ? null : releaseOfRun(state.live);
}

/** A release that failed and comes again with the same id replaces its record. */
export function addRelease(state: AppState, manifest: Manifest, manifestDigest: string): void {
  state.releases = state.releases.filter(({ id }) => id !== manifest.release);
  state.releases.push({
    id: manifest.release,
    state: "unpacked",
    digest: manifestDigest,
    commit: manifest.commit,
    repository: manifest.repository,
    created: manifest.created,
  });
}

export function setReleaseState(state: AppState, release: string, to: ReleaseState): void {
  const record = findRelease(state, release);
  if (record !== undefined) record.state = to;
}

/**
 * What traffic to `run` means for everyone's state: it is live, what was live is good again or rolled back, and its
 * instances are warm until `warmUntil`.
 */
export function setLive(state: AppState, run: string, change: { now: Date; warmUntil: Date; rollback: boolean }): void {
  const before = state.live;
  const release = releaseOfRun(run);
  const leaving = liveRelease(state);
  if (leaving !== null && leaving !== release) {
    const unwell = findRelease(state, leaving)?.unwell === true;
    setReleaseState(state, leaving, change.rollback || unwell ? "rolled_back" : "good");
  }
  setReleaseState(state, release, "live");
  const record = findRelease(state, release);
  if (record !== undefined && record.live_at === undefined) {
    record.live_at = change.now.toISOString();
    state.releases = [...state.releases.filter(({ id }) => id !== release), record];
  }
  state.live = run;
  if (state.staged?.run === run) state.staged = null;
  if (before !== null && before !== run) state.warm = { run: before, until: change.warmUntil.toISOString() };
  else if (state.warm?.run === run) state.warm = null;
}

/** The last good release before what is live: relative to what is live, not to what is newest. */
export function rollbackTarget(state: AppState): string | undefined {
  const live = state.releases.findIndex(({ id }) => id === liveRelease(state));
  return state.releases.slice(0, Math.max(live, 0)).findLast((release) => release.state === "good")?.id;
}

/** A name for a second set of instances of a release, one that no run in use has. */
export function nextRun(release: string, taken: Iterable<string>): string {
  const used = new Set(taken);
  if (!used.has(release)) return release;
  let number = 2;
  while (used.has(`${release}.${number}`)) number++;
  return `${release}.${number}`;
}

export function runsInUse(state: AppState): string[] {
  return [state.live, state.staged?.run, state.warm?.run, state.journal?.run].filter((run) => typeof run === "string");
}

export function remember(state: AppState, deployment: DeploymentView): void {
  state.history = [deployment, ...state.history.filter(({ id }) => id !== deployment.id)].slice(0, historyLength);
}

/**
 * Which releases stay: the newest `keep` good ones (the live one among them), as many of those that were rolled back
 * between them, what is pinned, whatever has instances, and `previous`.
 * @param previous the release whose static files pages may still ask for
 */
export function keptReleases(state: AppState, keep: number, previous: string | null): string[] {
  const kept = new Set(runsInUse(state).map(releaseOfRun));
  let good = 0;
  let rolledBack = 0;
  for (const { id, live_at, state: was } of state.releases.toReversed()) {
    if (good >= keep) break;
    if (live_at === undefined) continue;
    if (was !== "rolled_back") good++;
    // Who deploys and goes back again and again must not fill the disk.
    else if (++rolledBack > keep && id !== previous) continue;
    kept.add(id);
  }
  for (const { id, pinned } of state.releases) if (pinned === true) kept.add(id);
  return [...kept];
}
