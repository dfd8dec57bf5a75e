import type { AgentClient } from "./agent-client.ts";
import type { Exec } from "./exec.ts";
import type { Log } from "./log.ts";

/** All that the story does to the outside, so that a test can put its own in place. */
export interface Effects {
  env: NodeJS.ProcessEnv;
  /** Milliseconds since the epoch. */
  now(): number;
  exec: Exec;
  connect(url: URL): AgentClient;
  log: Log;
  /** Aborted with a CutoverError (aborted, timed_out) as its reason. */
  signal: AbortSignal;
}
