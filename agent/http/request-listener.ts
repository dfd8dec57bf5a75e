import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { CutoverError } from "../../shared/errors.ts";
import { toProblem } from "../../shared/problem.ts";
import type { HttpApp } from "./call.ts";
import type { Connections } from "./connection-limits.ts";
import { problemResponse } from "./problems.ts";
import { bringsBody } from "./request-body.ts";

export interface ListenerOptions {
  lingerMs: number;
  /** Without it no connection is limited. */
  connections: Connections | undefined;
}

/** Hands node's requests to the app, and sends its answers, also those before the end of a body. */
export function requestListener(
  app: Pick<HttpApp, "fetch">,
  { lingerMs, connections }: ListenerOptions,
): RequestListener {
  const listener = getRequestListener(
    async (request, env) => {
      const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse };
      // Without a listener, a client that breaks the connection would end the process.
      incoming.on("error", () => undefined);
      const { socket } = incoming;
      if (connections?.isAging(socket) === true) outgoing.shouldKeepAlive = false;
      // The answer may be a stream of events. While it lasts, a body that nobody reads would hold the connection.
      if (takesNoBody(incoming) && bringsBody(incoming)) return closing(bodyRefused(incoming), incoming, lingerMs);
      const proven = () => connections?.prove(socket);
      const response = await app.fetch(request, { incoming, outgoing, proven });
      return incoming.complete || !bringsBody(incoming) ? response : closing(response, incoming, lingerMs);
    },
    { overrideGlobalObjects: false, autoCleanupIncoming: false },
  );
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

function takesNoBody({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
}

function bodyRefused({ method }: IncomingMessage): Response {
  const error = new CutoverError("request_invalid", `A ${method} takes no body.`, {
    unchanged: "Nothing was changed.",
    fix: "Send it without Content-Length and Transfer-Encoding.",
  });
  return problemResponse(toProblem(error, 400));
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
