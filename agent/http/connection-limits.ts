import type { Server, Socket } from "node:net";
import { addressKey } from "./address-key.ts";

export interface ConnectionLimits {
  connections: number;
  connections_per_address: number;
}

export interface ConnectionLimitOptions extends ConnectionLimits {
  keyOf?: (remote: string | undefined) => string | undefined;
  /** Called when connections are refused, at most once a minute. */
  onFull?: (about: { address: string; open: number }) => void;
}

const reportMs = 60_000;

/** The open connections of a server with limits. */
export interface Connections {
  /** The caller has a good token, or knows a deployment's id: the connection stays as long as the caller wants. */
  prove(socket: Socket): void;
  /** Whether the next answer must be the last one, since nothing was proven for half of the time. */
  isAging(socket: Socket): boolean;
}

interface Unproven {
  socket: Socket;
  since: number;
  timer: NodeJS.Timeout;
}

/**
 * Limits connections before a byte of them is read, also before the TLS handshake.
 * - One too many from an address is closed.
 * - One too many in all takes the place of the oldest on which no caller has proven anything. So whoever holds all of them
 *   keeps nobody out who has a token. It is closed only if there is no such connection.
 * - A connection on which nothing is proven ends after `unprovenMs`, whatever it sends.
 */
export function limitConnections(server: Server, unprovenMs: number, options: ConnectionLimitOptions): Connections {
  const { connections, connections_per_address: perAddress, keyOf = addressKey, onFull } = options;
  const byAddress = new Map<string, number>();
  // The oldest is the first.
  const unproven = new Map<string, Unproven>();
  let open = 0;
  let reported = Number.NEGATIVE_INFINITY;

  function makeRoom(): boolean {
    if (open < connections) return true;
    const [oldest] = unproven;
    if (oldest === undefined) return false;
    const [name, { socket }] = oldest;
    forget(name);
    socket.destroy();
    return true;
  }

  function forget(name: string): void {
    clearTimeout(unproven.get(name)?.timer);
    unproven.delete(name);
  }

  function report(address: string): void {
    if (performance.now() - reported <= reportMs) return;
    reported = performance.now();
    onFull?.({ address, open });
  }

  server.on("connection", (socket: Socket) => {
    const key = keyOf(socket.remoteAddress);
    const here = key === undefined ? 0 : (byAddress.get(key) ?? 0);
    if (open >= connections || here >= perAddress) report(key ?? "this host");
    if (here >= perAddress || !makeRoom()) {
      socket.destroy();
      return;
    }
    open += 1;
    if (key !== undefined) byAddress.set(key, here + 1);
    const name = nameOf(socket);
    const timer = setTimeout(() => socket.destroy(), unprovenMs).unref();
    unproven.set(name, { socket, since: performance.now(), timer });
    socket.once("close", () => {
      open -= 1;
      forget(name);
      if (key === undefined) return;
      const left = (byAddress.get(key) ?? 1) - 1;
      if (left === 0) byAddress.delete(key);
      else byAddress.set(key, left);
    });
  });

  return {
    prove: (socket) => forget(nameOf(socket)),
    isAging(socket) {
      const since = unproven.get(nameOf(socket))?.since;
      return since !== undefined && performance.now() - since > unprovenMs / 2;
    },
  };
}

/** With TLS, the socket of a request is another object than that of its connection. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
