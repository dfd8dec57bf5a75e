import { connect } from "node:tls";

/** Whether TLS answers at an address. Looked at after plain HTTP failed there: a server with TLS only hangs up on it. */
export function speaksTls({ hostname, port }: URL, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, "");
    // Nothing is sent over it, so it does not matter whose certificate it is.
    const socket = connect({ host, port: Number(port || 80), rejectUnauthorized: false, timeout: limitMs });
    const end = (found: boolean) => {
      socket.destroy();
      resolve(found);
    };
    socket.once("secureConnect", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
    socket.once("timeout", () => end(false));
  });
}
