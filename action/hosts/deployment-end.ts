import { isAtLeast } from "../../shared/deployment-states.ts";
import { CutoverError, type ErrorCode } from "../../shared/errors.ts";
import { fromProblem } from "../../shared/problem.ts";
import type { DeploymentView } from "../../shared/protocol.ts";

/**
 * What an undo found: nothing is left of the job's work, or its release has all of the traffic, or a part of it, or
 * nobody knows.
 */
export type Standing = "undone" | "cut over" | "shifted" | "unknown";

/** What a deployment's end says; undefined for one whose release is, or was, staged. */
export function standingOf({ outcome, state, failure, weight = 100 }: DeploymentView): Standing | undefined {
  switch (outcome) {
    case "staged":
      return undefined;
    case "succeeded":
      return weight < 100 ? "shifted" : "cut over";
    case "aborted":
      return "undone";
    case "running":
      return isAtLeast(state, "cut_over") ? "cut over" : "unknown";
    case "failed":
      return isAtLeast(state, "cut_over") && !hasTakenBack(failure) ? "cut over" : "undone";
  }
}

/** Its instances failed, or its visitors. */
export function isWatchFailure(code: string): boolean {
  return code === "watch_failed" || code === "visitors_failed";
}

/** A release that fails its watch is taken back by the host itself, unless what was live before is not well either. */
export function hasTakenBack(failure: { code: string; unchanged?: string | undefined } | undefined): boolean {
  return (
    failure !== undefined && isWatchFailure(failure.code) && !/ keeps the traffic\.$/.test(failure.unchanged ?? "")
  );
}

/** The failure of a deployment that should have ended well. */
export function endedBadly(view: DeploymentView): CutoverError {
  if (view.failure !== undefined) return fromProblem(view.failure);
  const code: ErrorCode = view.outcome === "aborted" ? "aborted" : "internal";
  return new CutoverError(code, `The deployment ended as ${view.outcome}, after the state ${view.state}.`, {
    fix: "Look at the agent's log on the host.",
  });
}
