/**
 * A deployment's states in their order, and what happens to a deployment that fails in one of them, or whose agent is killed
 * there. `undo`: visitors have seen nothing of it, so it is taken away. `finish`: the traffic may have moved, so the
 * deployment continues to its end.
 */
const onFailure = {
  received: "undo",
  verified: "undo",
  unpacked: "undo",
  built: "undo",
  released: "undo",
  started: "undo",
  healthy: "undo",
  /** The traffic is about to move, and may have moved. */
  cutting_over: "finish",
  /** All of the traffic has moved, and the state says so. */
  cut_over: "finish",
  drained: "finish",
  retired: "finish",
  done: "finish",
} as const;

export type DeploymentState = keyof typeof onFailure;

/** In the order in which a deployment reaches them; it may leave some out. */
export const deploymentStates = Object.keys(onFailure) as DeploymentState[];

/** Whether a deployment at `state` has reached `wanted`, or has gone past it. */
export function isAtLeast(state: DeploymentState, wanted: DeploymentState): boolean {
  return deploymentStates.indexOf(state) >= deploymentStates.indexOf(wanted);
}

/** Whether a deployment at this state is finished, and no longer undone. */
export function mustFinish(state: DeploymentState): boolean {
  return onFailure[state] === "finish";
}

/** What callers get. `cutting_over` is only in the journal: clients of the first release do not know it. */
export type ReportedState = Exclude<DeploymentState, "cutting_over">;

export const reportedStates = deploymentStates.filter((state): state is ReportedState => state !== "cutting_over");

export function reported(state: DeploymentState): ReportedState {
  return state === "cutting_over" ? "healthy" : state;
}

/** What a deployment that has reached `state` reaches next, if it leaves nothing out. */
export function reportedAfter(state: ReportedState): ReportedState | undefined {
  return reportedStates[reportedStates.indexOf(state) + 1];
}
