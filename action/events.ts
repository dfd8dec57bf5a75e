import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { CutoverError } from "../shared/errors.ts";
import { type DeploymentEvent, deploymentEvent } from "../shared/protocol.ts";
import { explain, isPassing } from "./agent-errors.ts";

export interface EventSource {
  /** Opens the stream of the events after this id. @throws Refusal, or what the network says */
  open(after: number): Promise<IncomingMessage>;
  host: string;
  /** Before a connection is opened again; doubled up to five seconds while none succeeds. */
  delayMs: number;
  lostAfterMs: number;
  signal: AbortSignal;
}

/**
 * A deployment's events, each once and in order, until the last. A connection that breaks is opened again where it
 * broke; only an agent that stays away is an error.
 * @throws CutoverError agent_unreachable, deployment_not_found, or the signal's reason
 */
export async function* followEvents(source: EventSource): AsyncGenerator<DeploymentEvent> {
  const { signal } = source;
  let after = 0;
  let heard = performance.now();
  for (let failures = 0; ; failures++) {
    try {
      const answer = await source.open(after);
      for await (const event of parseEvents(answer)) {
        heard = performance.now();
        failures = 0;
        if (event.id <= after) continue;
        after = event.id;
        yield event;
        if (event.type === "end") return;
      }
      signal.throwIfAborted();
    } catch (thrown) {
      signal.throwIfAborted();
      if (!isPassing(thrown)) throw explain(thrown, source.host);
      if (performance.now() - heard > source.lostAfterMs) throw lost(source.host, thrown);
    }
    await pause(Math.min(source.delayMs * 2 ** failures, 5000), signal);
    if (performance.now() - heard > source.lostAfterMs) throw lost(source.host, undefined);
  }
}

async function* parseEvents(answer: IncomingMessage): AsyncGenerator<DeploymentEvent> {
  // readline drops the stream's error, so that a broken connection ends the loop: what is missing is asked for again.
  const lines = createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY });
  let fault: unknown;
  answer.once("error", (thrown) => {
    fault = thrown;
    lines.close();
  });
  try {
    for await (const line of lines) {
      const event = parseEvent(line);
      if (event !== undefined) yield event;
    }
  } finally {
    lines.close();
    answer.destroy();
  }
  if (fault !== undefined) throw fault;
}

/** undefined for a line that is cut short, or of a kind that only a newer agent knows. */
function parseEvent(line: string): DeploymentEvent | undefined {
  try {
    return deploymentEvent.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

function lost(host: string, cause: unknown): CutoverError {
  return new CutoverError(
    "agent_unreachable",
    `The agent at ${host} stopped answering in the middle of the deployment.`,
    {
      unchanged: "The host goes on serving: the agent finishes or undoes the deployment by itself when it is back.",
      fix: "Look at the agent's log on the host (`journalctl -u cutover-agent`), then at `cutover status`, and run this again.",
      cause,
    },
  );
}
