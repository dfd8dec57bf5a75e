import { CutoverError } from "../../shared/errors.ts";
import { releaseOfRun } from "../../shared/names.ts";
import { UnsureError } from "../client/agent-errors.ts";
import type { HostReport } from "../report/job-report.ts";
import { endedBadly, standingOf } from "./deployment-end.ts";
import type { HostApp } from "./host-app.ts";
import type { HostLog } from "./host-log.ts";
import type { HostProgress } from "./host-progress.ts";
import type { OpenDeployments } from "./open-deployments.ts";

/**
 * Going back, or an activation sent again after a lost answer, may have to wait until this job's own deployment has
 * drained.
 */
export const ownDeploymentMs = 120_000;

export interface GoBackParts {
  app: HostApp;
  log: HostLog;
  progress: HostProgress;
  report: HostReport;
  open: OpenDeployments;
  /** Resolves when the activation has ended. */
  finished: Promise<unknown>;
  signal: AbortSignal;
}

/**
 * Takes back the cutover of one host. A failure is a note in its report.
 * @returns whether the release has no traffic any more
 */
export async function goBack(parts: GoBackParts): Promise<boolean> {
  const { app, log, progress, report, open, finished, signal } = parts;
  const { release } = report;
  log.line("goes back to the previous release");
  try {
    // The agent does one deployment of an app at a time. So this waits until the job's own has drained, and ends its
    // watch.
    const begun = await app.rollback(signal, release === undefined ? {} : { from: release }, ownDeploymentMs);
    open.running = begun.deployment;
    report.release = begun.release;
    await finished;
    progress.prefix = "go back: ";
    const view = await progress.follow(begun.deployment, signal);
    open.running = undefined;
    // What fails later than its cutover has gone back all the same.
    if (standingOf(view) !== "cut over") throw endedBadly(view);
    wentBack(report);
    return true;
  } catch (thrown) {
    // The host has gone back already, because of its own watch or of an earlier attempt.
    if (thrown instanceof CutoverError && thrown.code === "not_live") return alreadyBack(parts);
    if (release !== undefined) report.release = release;
    noteFailure(parts, thrown);
    return false;
  }
}

/** If the answer was lost, the host may have gone back. */
function noteFailure({ log, report, signal }: GoBackParts, thrown: unknown): void {
  const reason = thrown instanceof CutoverError ? thrown.message : String(thrown);
  const isKnown = !signal.aborted && !(thrown instanceof UnsureError) && !isLost(thrown);
  report.note = isKnown
    ? `${report.release} has the traffic: going back failed. ${reason}`
    : `It is not known whether it went back from ${report.release}. ${reason}`;
  if (!isKnown && report.failure === undefined) report.outcome = "unknown";
  log.line(report.note);
}

function wentBack(report: HostReport): void {
  delete report.note;
  if (report.failure === undefined) report.outcome = "rolled_back";
  else report.note = "It went back to the previous release.";
}

async function alreadyBack({ app, log, report, finished, signal }: GoBackParts): Promise<boolean> {
  await finished;
  log.line("had gone back already");
  const view = await app.view(signal).catch(() => undefined);
  if (view?.live !== undefined && view.live !== null) report.release = releaseOfRun(view.live);
  // A host whose own watch failed has said so.
  if (report.failure === undefined || report.note !== undefined) wentBack(report);
  return true;
}

/** The agent was silent for too long. */
function isLost(thrown: unknown): boolean {
  return thrown instanceof CutoverError && thrown.code === "agent_unreachable";
}
