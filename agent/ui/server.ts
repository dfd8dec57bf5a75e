import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { CutoverError } from "../../shared/errors.ts";
import { Looks } from "./look.ts";
import { createPage } from "./page.ts";
import { Sessions } from "./session.ts";
import type { PageSource } from "./source.ts";

export interface RunningPage {
  port: number;
  /** An address with a new token, for one browser. */
  newAddress(): string;
  close(): Promise<void>;
}

/** On loopback only, whatever else the host listens on: whoever is elsewhere comes through ssh. */
const loopback = "127.0.0.1";

/**
 * Serves the page until it is closed.
 * @param port 0: any that is free
 * @throws CutoverError address_in_use, host_settings_invalid
 */
export async function startPage(source: PageSource, port: number): Promise<RunningPage> {
  const sessions = new Sessions(source.now);
  const looks = new Looks(source);
  const page = createPage({ source, sessions, looks });
  const listener = getRequestListener((request) => page.fetch(request), { overrideGlobalObjects: false });
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (incoming, outgoing) => {
    void listener(incoming, outgoing);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: loopback, port }, resolve);
  await promise.catch((cause: NodeJS.ErrnoException) => {
    throw notListening(port, cause);
  });
  const ended = new AbortController();
  const sampling = looks.samples.run(ended.signal);
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    port: bound,
    newAddress: () => `http://${loopback}:${bound}/enter?token=${sessions.newToken()}`,
    async close() {
      ended.abort();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await Promise.all([closed.promise, sampling]);
    },
  };
}

function notListening(port: number, cause: NodeJS.ErrnoException): CutoverError {
  const taken = cause.code === "EADDRINUSE";
  return new CutoverError(
    taken ? "address_in_use" : "host_settings_invalid",
    taken
      ? `Another program already listens on port ${port}.`
      : `The page cannot listen on port ${port}: ${cause.code}.`,
    { unchanged: "Nothing was changed.", fix: "Choose another one: `cutover ui --port 7090`.", cause },
  );
}
