import type { AgentClient } from "../cli/client.ts";
import type { Finding } from "../doctor/finding.ts";

/** What the page shows and does: all of it through the agent's admin socket, and the doctor's look at the host. */
export interface PageSource {
  agent: Pick<AgentClient, "call" | "events">;
  /** Takes some seconds on a host with many apps. */
  doctor(): Promise<Finding[]>;
  /** Milliseconds since the epoch. */
  now(): number;
  /** The host's name, for the title. */
  host: string;
  /** In whose name the agent is called, for the questions. */
  user: string;
}
