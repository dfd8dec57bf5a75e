import type { DeploymentEvent } from "../../shared/protocol.ts";

export type EventFormat = "ndjson" | "sse";

export const heartbeatMs = 15_000;

const contentTypes: Record<EventFormat, string> = {
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
};

/** One event as a line of JSON, or as a server-sent event, whose id a browser sends back to resume. */
export function renderEvent(event: DeploymentEvent, format: EventFormat): string {
  const json = JSON.stringify(event);
  return format === "ndjson" ? `${json}\n` : `id: ${event.id}\nevent: ${event.type}\ndata: ${json}\n\n`;
}

/** Keeps an idle connection open on its way; readers ignore it. An empty line, or a comment. */
export function renderHeartbeat(format: EventFormat): string {
  return format === "ndjson" ? "\n" : ":\n\n";
}

export interface EventStreamOptions {
  format: EventFormat;
  heartbeatMs: number;
  /** Called when the reader is gone, so that the source stops waiting. */
  onGone: () => void;
  /** Called when the source fails. It must break the connection, so that the reader knows that this is not the end. */
  onError: (thrown: unknown) => void;
}

/** A stream of the events as they happen, no faster than the reader reads. */
export function eventResponse(source: AsyncIterable<DeploymentEvent>, options: EventStreamOptions): Response {
  const { format, onGone, onError } = options;
  const iterator = source[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<DeploymentEvent>> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      next ??= iterator.next();
      try {
        const result = await withHeartbeat(next, options.heartbeatMs);
        if (result === "heartbeat") {
          controller.enqueue(encoder.encode(renderHeartbeat(format)));
          return;
        }
        next = undefined;
        if (result.done === true) controller.close();
        else controller.enqueue(encoder.encode(renderEvent(result.value, format)));
      } catch (thrown) {
        onError(thrown);
      }
    },
    cancel() {
      onGone();
      next?.catch(() => undefined);
    },
  });
  return new Response(stream, {
    headers: {
      "content-type": contentTypes[format],
      "cache-control": "no-store",
      // Otherwise an nginx in front of the agent would hold events back until its buffer is full.
      "x-accel-buffering": "no",
    },
  });
}

async function withHeartbeat<T>(next: Promise<T>, ms: number): Promise<T | "heartbeat"> {
  const { promise, resolve } = Promise.withResolvers<"heartbeat">();
  const timer = setTimeout(() => resolve("heartbeat"), ms);
  try {
    return await Promise.race([next, promise]);
  } finally {
    clearTimeout(timer);
  }
}
