import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { ListenOptions, Socket } from "node:net";
import { CutoverError } from "../../shared/errors.ts";
import type { HttpApp } from "./call.ts";
import { type ConnectionLimitOptions, limitConnections } from "./connection-limits.ts";
import { requestListener } from "./request-listener.ts";

export interface ServerTimes {
  /** How long a client may take to send its headers. */
  headersMs: number;
  /** How long the connection stays open after an early answer, so that the client can read it. */
  lingerMs: number;
  /** How long a connection may stay on which no caller has proven anything; only with limits of connections. */
  unprovenMs: number;
}

export const defaultTimes: ServerTimes = { headersMs: 10_000, lingerMs: 2_000, unprovenMs: 60_000 };

export interface TlsTexts {
  certificate: string;
  key: string;
}

export interface ServerOptions {
  app: Pick<HttpApp, "fetch">;
  /** PEM texts. Without them the server speaks plain HTTP. */
  tls?: TlsTexts;
  /** Connections from other addresses are closed before a byte of them is read. */
  allowed?: (address: string) => boolean;
  /** Called for each connection that was closed for this reason. */
  onRefused?: (address: string) => void;
  times?: Partial<ServerTimes>;
  /** Default: as many connections as the system allows. */
  connections?: ConnectionLimitOptions;
}

export interface RunningServer {
  /** Where it listens: `127.0.0.1:7070`, or the socket's path. */
  address: string;
  /** The port, 0 for a unix socket. */
  port: number;
  /** Accepts no more calls. Calls that still run after `graceMs` are cut. */
  close(graceMs?: number): Promise<void>;
}

export interface NetworkServer extends RunningServer {
  /** Used from the next connection on; open connections keep the old certificate. */
  renewTls(tls: TlsTexts): void;
}

/** Serves callers on the network. @throws CutoverError host_settings_invalid */
export async function startServer(
  listen: { host: string; port: number },
  options: ServerOptions,
): Promise<NetworkServer> {
  const server = createHttpServer(options);
  await listening(server, listen, `${listen.host}:${listen.port}`);
  return {
    ...running(server),
    renewTls(tls) {
      if (server instanceof TlsServer) server.setSecureContext(secureContext(tls));
    },
  };
}

/** A node server for an app; it does not listen yet. */
export function createHttpServer({ app, tls, times, connections, allowed, onRefused }: ServerOptions): Server {
  const { headersMs, lingerMs, unprovenMs } = { ...defaultTimes, ...times };
  // A big upload may take hours. RequestBody watches its rate, so its duration has no limit.
  const settings = {
    headersTimeout: headersMs,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(headersMs, 5_000),
  };
  const server = tls === undefined ? createServer(settings) : secureServer(settings, tls, headersMs);
  const limited = connections && limitConnections(server, unprovenMs, connections);
  const listener = requestListener(app, { lingerMs, connections: limited });
  // Called last, so that its listener comes first: a refused address takes no place in the limits.
  if (allowed !== undefined) refuseOthers(server, allowed, onRefused);
  server.on("request", listener);
  // Handled here, since node would otherwise ask for the body before the caller is authorized.
  server.on("checkContinue", listener);
  return server;
}

function secureServer(settings: object, tls: TlsTexts, headersMs: number): Server {
  try {
    return createTlsServer({ ...settings, ...secureContext(tls), handshakeTimeout: headersMs });
  } catch (cause) {
    throw new CutoverError("host_settings_invalid", "The TLS certificate and key of agent.yml do not work together.", {
      unchanged: "The agent did not start; the sites go on serving.",
      fix: "Check both PEM files: the key must belong to the certificate and have no passphrase.",
      cause,
    });
  }
}

function secureContext({ certificate, key }: TlsTexts) {
  return { cert: certificate, key, minVersion: "TLSv1.2" } as const;
}

/** Before all other listeners, so that neither a handshake nor a request begins. */
function refuseOthers(
  server: Server,
  allowed: (address: string) => boolean,
  onRefused?: (address: string) => void,
): void {
  server.prependListener("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress !== undefined && allowed(remoteAddress)) return;
    socket.destroy();
    if (remoteAddress !== undefined) onRefused?.(remoteAddress);
  });
}

/** @throws CutoverError host_settings_invalid */
export async function listening(server: Server, where: ListenOptions, shown: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(where, resolve);
  try {
    await promise;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      EADDRINUSE: "another program listens there",
      EACCES: "the agent has no permission to",
      EADDRNOTAVAIL: "this host has no such address",
      ENOTFOUND: "this name has no address",
    };
    throw new CutoverError(
      "host_settings_invalid",
      `The agent cannot listen on ${shown}: ${reasons[code ?? ""] ?? code}.`,
      {
        unchanged: "The agent did not start; the sites go on serving.",
        fix: "Stop the other program, or change `listen` (or `metrics`, `public_page` or `socket`) in agent.yml.",
        cause,
      },
    );
  } finally {
    server.off("error", reject);
  }
}

export function running(server: Server): RunningServer {
  const address = server.address();
  const unix = typeof address === "string" || address === null;
  return {
    address: unix
      ? (address ?? "")
      : address.family === "IPv6"
        ? `[${address.address}]:${address.port}`
        : `${address.address}:${address.port}`,
    port: unix ? 0 : address.port,
    async close(graceMs = 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      server.close(() => resolve());
      server.closeIdleConnections();
      await promise;
      clearTimeout(timer);
    },
  };
}
