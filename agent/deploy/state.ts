import { mustFinish } from "../../shared/deployment-states.ts";
import type { Manifest } from "../../shared/manifest.ts";
import { releaseOfRun } from "../../shared/names.ts";
import type { DeploymentView, Failure, ReleaseState, WorkflowRun } from "../../shared/protocol.ts";
import type { DeploymentRecord, ResumePoint, StoredState } from "./state-format.ts";

/**
 * What the agent knows of one app, as in state.json. Everybody reads it; only the functions of this file change it,
 * in memory. Whoever changes it saves it, with the port `states`.
 */
export type AppState = {
  readonly [K in keyof StoredState]: StoredState[K] extends (infer E)[] ? readonly Frozen<E>[] : Frozen<StoredState[K]>;
};
export type Journal = NonNullable<AppState["journal"]>;
export type ReleaseRecord = AppState["releases"][number];

/** Lists inside, such as a deployment's phases, stay plain: they belong to views, which are passed on as they are. */
type Frozen<T> = T extends unknown[] ? T : T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

/** How many ended deployments an app remembers. */
const historyLength = 20;

// What the state says

export function findRelease(state: AppState, release: string): ReleaseRecord | undefined {
  return state.releases.find(({ id }) => id === release);
}

export function liveRelease(state: AppState): string | null {
  return state.live === null ? null : releaseOfRun(state.live);
}

/** The runs that the state knows. Every other run on the host is an orphan. */
export function runsInUse(state: AppState): string[] {
  return [state.live, state.staged?.run, state.warm?.run, state.journal?.run].filter((run) => typeof run === "string");
}

/** The last good release before the live one. "Before" is relative to what is live, not to what is newest. */
export function rollbackTarget(state: AppState): string | undefined {
  const live = state.releases.findIndex(({ id }) => id === liveRelease(state));
  return state.releases.slice(0, Math.max(live, 0)).findLast((release) => release.state === "good")?.id;
}

/** By the journal's intent, and not only by the slots that moved: what may have moved is finished, never undone. */
export function mayHaveCutOver({ journal }: Pick<AppState, "journal">): boolean {
  return journal !== null && mustFinish(journal.deployment.state);
}

/** Why an app with an open deployment takes no others. */
export function openDeployment({ deployment }: Journal): string {
  return `deployment ${deployment.id} could not be finished or undone yet; the agent retries by itself`;
}

// Releases

/**
 * A bundle was accepted. A release that failed and comes again with the same id replaces its record.
 * @param from the run of the workflow that brought it, undefined if nothing said so; and whether this is its fleet's first host
 */
export function addRelease(
  state: AppState,
  manifest: Manifest,
  manifestDigest: string,
  { run, firstHost = true }: { run?: WorkflowRun | undefined; firstHost?: boolean | undefined } = {},
): void {
  const { release: id, commit, repository, created } = manifest;
  const others = state.releases.filter((record) => record.id !== id);
  const record = { id, state: "unpacked" as const, digest: manifestDigest, commit, repository, created };
  change(state).releases = [
    ...others,
    { ...record, ...(run !== undefined && { run }), ...(!firstHost && { first_host: false }) },
  ];
}

/** Its release command has run, at least in part. */
export function markCommanded(state: AppState, release: string): void {
  updateRelease(state, release, { commanded: true });
}

export function markFailed(state: AppState, release: string): void {
  updateRelease(state, release, { state: "failed" });
}

/** A release that failed its watch and kept the traffic is unwell. */
export function markUnwell(state: AppState, release: string, unwell: boolean): void {
  updateRelease(state, release, { unwell: unwell || undefined });
}

/** A pinned release is never pruned. */
export function pinRelease(state: AppState, release: string, pinned: boolean): void {
  updateRelease(state, release, { pinned: pinned || undefined });
}

/** Records of other releases go. */
export function keepReleases(state: AppState, kept: ReadonlySet<string>): void {
  change(state).releases = state.releases.filter(({ id }) => kept.has(id));
}

// Runs

/** The run of a deployment is healthy and has no traffic. */
export function stageRun(state: AppState, run: string, deployment: string): void {
  change(state).staged = { run, deployment, weight: 0 };
}

export function markStaged(state: AppState, release: string): void {
  updateRelease(state, release, { state: "staged" });
}

/** @param weight the staged run's share of the traffic, in percent */
export function weighStaged(state: AppState, weight: number): void {
  if (state.staged !== null) change(state).staged = { ...state.staged, weight };
}

export function unstage(state: AppState): void {
  change(state).staged = null;
}

/**
 * All of the traffic goes to `run`: it is live, what was live is good or rolled back, and its instances are warm until
 * `warmUntil`.
 */
export function setLive(
  state: AppState,
  run: string,
  { now, warmUntil, rollback }: { now: Date; warmUntil: Date; rollback: boolean },
): void {
  const before = state.live;
  const release = releaseOfRun(run);
  const leaving = liveRelease(state);
  if (leaving !== null && leaving !== release) {
    const unwell = findRelease(state, leaving)?.unwell === true;
    updateRelease(state, leaving, { state: rollback || unwell ? "rolled_back" : "good" });
  }
  updateRelease(state, release, { state: "live" });
  if (findRelease(state, release)?.live_at === undefined) firstTraffic(state, release, now);
  change(state).live = run;
  if (state.staged?.run === run) unstage(state);
  if (before !== null && before !== run) change(state).warm = { run: before, until: warmUntil.toISOString() };
  else if (state.warm?.run === run) forgetWarm(state);
}

/** The warm run is retired, or is about to be: from now on its instances are orphans. */
export function forgetWarm(state: AppState): void {
  change(state).warm = null;
}

// The journal

/** A deployment begins to have effects on the host. @param ownsRelease whether undoing it removes the release */
export function openJournal(
  state: AppState,
  deployment: DeploymentRecord,
  { run, ownsRelease }: { run: string; ownsRelease: boolean },
): void {
  const weight = state.staged?.run === run ? { weight: state.staged.weight } : {};
  change(state).journal = { deployment, run, from: state.live, brought: ownsRelease, ...weight, attempts: 0 };
}

/** What an undone cutover publishes again. Only the first call counts: a cutover may happen twice. */
export function rememberPrevious(state: AppState, previous: string | null): void {
  const { journal } = change(state);
  if (journal !== null && journal.previous === undefined) journal.previous = previous;
}

/** Where the deployment stands now. */
export function updateJournal(state: AppState, deployment: DeploymentRecord): void {
  const { journal } = change(state);
  if (journal !== null) journal.deployment = deployment;
}

/** The release failed after the cutover. @param back whether the traffic goes back to the run before */
export function recordVerdict(state: AppState, failure: Failure, back: boolean): void {
  const { journal } = change(state);
  if (journal !== null) journal.verdict = { failure, back };
}

/** The agent shuts down; the next start goes on from here. */
export function leaveForNextStart(state: AppState, resumePoint: ResumePoint): void {
  const { journal } = change(state);
  if (journal !== null) journal.onward = resumePoint;
}

/** An agent takes the deployment up. From now on a kill undoes or finishes it, as any other. @returns how to go back */
export function takeUp(state: AppState): () => void {
  const { journal } = state;
  if (journal === null) return () => undefined;
  const { onward, ...rest } = journal as NonNullable<StoredState["journal"]>;
  change(state).journal = rest;
  return () => {
    change(state).journal = onward === undefined ? rest : { ...rest, onward };
  };
}

/** The agent was asked to stop in the middle of a recovery, which says nothing of the deployment. */
export function uncountAttempt(state: AppState): void {
  const { journal } = change(state);
  if (journal !== null && journal.attempts > 0) journal.attempts--;
}

/** One more agent tries to finish or undo the deployment. */
export function countAttempt(state: AppState): void {
  takeUp(state);
  const { journal } = change(state);
  if (journal !== null) journal.attempts++;
}

/** The app takes no deployments until the open one is finished or undone. */
export function hold(state: AppState, why: string): void {
  change(state).held = why;
}

export function unhold(state: AppState): void {
  change(state).held = null;
}

/** The deployment has ended, so nothing is open and nothing holds the app. @returns how to go back when that cannot be saved */
export function closeJournal(state: AppState): () => void {
  const { journal, held } = change(state);
  Object.assign(change(state), { journal: null, held: null });
  return () => void Object.assign(change(state), { journal, held });
}

/** The deployment comes first in the app's history. */
export function remember(state: AppState, deployment: DeploymentView): void {
  const others = change(state).history.filter(({ id }) => id !== deployment.id);
  const all = [deployment, ...others];
  // The abort of a staged release needs the deployment that staged it, however long that is ago.
  change(state).history = all.filter(({ id }, at) => at < historyLength || id === state.staged?.deployment);
}

function firstTraffic(state: AppState, release: string, now: Date): void {
  updateRelease(state, release, { live_at: now.toISOString() });
  const { releases } = change(state);
  const record = releases.find(({ id }) => id === release);
  if (record !== undefined) change(state).releases = [...releases.filter(({ id }) => id !== release), record];
}

type ReleaseChange = Partial<Record<"commanded" | "pinned" | "unwell", true | undefined>> & {
  state?: ReleaseState;
  live_at?: string;
};

/** A mark that is undefined is taken away. */
function updateRelease(state: AppState, release: string, to: ReleaseChange): void {
  const record = change(state).releases.find(({ id }) => id === release);
  if (record === undefined) return;
  Object.assign(record, to);
  for (const mark of ["commanded", "pinned", "unwell"] as const) if (record[mark] === undefined) delete record[mark];
}

/** The one place where a state may be written to. */
function change(state: AppState): StoredState {
  return state as StoredState;
}
