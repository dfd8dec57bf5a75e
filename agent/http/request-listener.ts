import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { HttpApp } from "./call.ts";

/** Hands node's requests to the app, and sends its answers, also those before the end of a body. */
export function requestListener(app: HttpApp, lingerMs: number): RequestListener {
  const listener = getRequestListener(
    async (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      // Without a listener, a client that breaks the connection would end the process.
      incoming.on("error", () => undefined);
      const response = await app.fetch(request, { incoming, outgoing });
      return incoming.complete || !hasBody(incoming) ? response : closing(response, incoming, lingerMs);
    },
    { overrideGlobalObjects: false, autoCleanupIncoming: false },
  );
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

// The body of a GET means nothing, and its answer may be a stream of events, which must not be buffered.
function hasBody({ method, headers }: IncomingMessage): boolean {
  if (method === "GET" || method === "HEAD") return false;
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/**
 * An answer before the body has ended. If the server closed at once, the connection would be reset while the client still
 * sends, and the client could not read the answer. So the stream ends when the client has closed, or after `lingerMs`.
 */
async function closing(response: Response, incoming: IncomingMessage, lingerMs: number): Promise<Response> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = new Headers(response.headers);
  headers.set("connection", "close");
  headers.set("content-length", String(body.length));
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, lingerMs);
  incoming.socket.once("close", resolve);
  let sent = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!sent) {
          sent = true;
          controller.enqueue(body);
          return;
        }
        await promise;
        clearTimeout(timer);
        controller.close();
      },
      cancel: () => clearTimeout(timer),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { status: response.status, headers });
}
