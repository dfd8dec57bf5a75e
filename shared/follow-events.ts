import { type DeploymentEvent, deploymentEvent } from "./deployment-view.ts";
import { linesOf } from "./lines.ts";
import { parseJson } from "./plain-json.ts";

export interface EventSource {
  /** Opens the stream of the events after this id. */
  open(after: number): Promise<AsyncIterable<Buffer>>;
  /** Waits until it is time to open the stream again. @throws when there is no use in it */
  again(failure: StreamFailure): Promise<void>;
}

export interface StreamFailure {
  /** What broke the stream, or kept it from opening; undefined if it ended before the last event. */
  thrown: unknown;
  /** How many attempts without an event came before this one. */
  before: number;
  /** Milliseconds since the last event, or since the beginning. */
  silentMs: number;
}

/**
 * A deployment's events, each once and in order, until the last. A stream that breaks is opened again after the event
 * that came last.
 * @throws what `again` throws
 */
export async function* followEvents(source: EventSource): AsyncGenerator<DeploymentEvent> {
  let after = 0;
  let heard = performance.now();
  for (let before = 0; ; before++) {
    let thrown: unknown;
    try {
      for await (const event of eventsOf(await source.open(after))) {
        heard = performance.now();
        before = 0;
        if (event.id <= after) continue;
        after = event.id;
        yield event;
        if (event.type === "end") return;
      }
    } catch (reason) {
      thrown = reason;
    }
    await source.again({ thrown, before, silentMs: performance.now() - heard });
  }
}

/** Without heartbeats, which are empty lines, and without events of a kind that only a newer agent knows. */
async function* eventsOf(stream: AsyncIterable<Buffer>): AsyncGenerator<DeploymentEvent> {
  for await (const line of linesOf(stream)) {
    const { data } = deploymentEvent.safeParse(parseJson(line));
    if (data !== undefined) yield data;
  }
}
