import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectSecurely } from "node:tls";

/** What a proxy sends before a connection of its own, which is nobody else's. */
const own = "PROXY UNKNOWN\r\n";

/**
 * Connects to a port of nginx that expects the PROXY protocol, for `createConnection` of a request.
 * @param servername the name for TLS; undefined for plain HTTP. Certificates are not judged.
 */
export function proxyConnection(place: { host: string; port: number }, servername: string | undefined) {
  return (_options: unknown, done: (error: Error | null, socket: Duplex) => void): undefined => {
    const socket: Socket = connect(place);
    socket.once("error", (error) => done(error, socket));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.write(own);
      done(
        null,
        servername === undefined ? socket : connectSecurely({ socket, servername, rejectUnauthorized: false }),
      );
    });
  };
}
