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

/** Closes connections above the limits before a byte of them is read, also before the TLS handshake. */
export function limitConnections(server: Server, options: ConnectionLimitOptions): void {
  const { connections, connections_per_address: perAddress, keyOf = addressKey, onFull } = options;
  const byAddress = new Map<string, number>();
  let open = 0;
  let reported = Number.NEGATIVE_INFINITY;
  server.on("connection", (socket: Socket) => {
    const key = keyOf(socket.remoteAddress);
    const here = key === undefined ? 0 : (byAddress.get(key) ?? 0);
    if (open >= connections || here >= perAddress) {
      socket.destroy();
      if (performance.now() - reported > reportMs) {
        reported = performance.now();
        onFull?.({ address: key ?? "this host", open });
      }
      return;
    }
    open += 1;
    if (key !== undefined) byAddress.set(key, here + 1);
    socket.once("close", () => {
      open -= 1;
      if (key === undefined) return;
      const left = (byAddress.get(key) ?? 1) - 1;
      if (left === 0) byAddress.delete(key);
      else byAddress.set(key, left);
    });
  });
}
