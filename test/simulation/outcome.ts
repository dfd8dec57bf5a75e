import type { Broken } from "./watcher.ts";

export interface PlayOptions {
  /** Gets a line for everything that happens. */
  trace?: string[] | undefined;
  /** Failures that are passed over. */
  tolerated?: readonly string[] | undefined;
}

export interface Outcome {
  broken: Broken | undefined;
  /** Deployments that ended. */
  deployments: number;
  /** What visitors got. */
  answered: number;
  failed: number;
  steps: number;
}
