import { type DeploymentEvent, deploymentEvent } from "./deployment-view.ts";
import { linesOf } from "./lines.ts";
import { parseJson } from "./plain-json.ts";

export interface EventSource {
  /** Opens the stream of the events after this id. */
  open(after: number): Promise<AsyncIterable<Buffer>>;
  /** Waits until it is time to open the stream again. @throws if retrying is pointless */
  again(failure: StreamFailure): Promise<void>;
  /** Milliseconds that never go back. */
  elapsed?: () => number;
}

export interface StreamFailure {
  /** What broke the stream, or kept it from opening; undefined if it ended before the last event. */
  thrown: unknown;
  /** How many attempts in a row came before this one and brought nothing, not even a heartbeat. */
  before: number;
  /** Milliseconds since the last sign of life (an event, a heartbeat, an answer to an attempt), or since the beginning. */
  silentMs: number;
}

/**
 * A deployment's events, each once and in order, until the last. A stream that breaks is opened again after the event
 * that came last.
 * @throws what `again` throws
 */
export async function* followEvents(source: EventSource): AsyncGenerator<DeploymentEvent> {
  const { elapsed = () => performance.now() } = source;
  let after = 0;
  let heard = elapsed();
  for (let before = 0; ; before++) {
    let thrown: unknown;
    try {
      const stream = await source.open(after);
      heard = elapsed();
      for await (const event of eventsOf(stream)) {
        heard = elapsed();
        before = 0;
        // A heartbeat, or an event that came before.
        if (event === undefined || event.id <= after) continue;
        after = event.id;
        yield event;
        if (event.type === "end") return;
      }
    } catch (reason) {
      thrown = reason;
    }
    await source.again({ thrown, before, silentMs: elapsed() - heard });
  }
}

/** In characters: far more than an agent writes. One that never ends its line would fill the memory of who follows it. */
const longestEvent = 32 * 1024 * 1024;

/** undefined for each line that is no event: a heartbeat, which is empty, or an event that only a newer agent knows. */
async function* eventsOf(stream: AsyncIterable<Buffer>): AsyncGenerator<DeploymentEvent | undefined> {
  for await (const line of linesOf(stream, { longest: longestEvent, tooLong: "refuse" }))
    yield deploymentEvent.safeParse(parseJson(line)).data;
}
