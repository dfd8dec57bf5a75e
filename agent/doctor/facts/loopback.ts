import { once } from "node:events";
import { connect, createServer } from "node:net";

/** A kernel takes microseconds. */
const longestMs = 2000;

/** Connects to a port of its own at 127.0.0.1. @returns why it cannot; undefined if it can */
export async function loopbackFault(): Promise<string | undefined> {
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const client = connect({ host: "127.0.0.1", port });
    try {
      await once(client, "connect", { signal: AbortSignal.timeout(longestMs) });
      return undefined;
    } finally {
      client.destroy();
    }
  } catch (thrown) {
    const { code, name } = thrown as NodeJS.ErrnoException;
    return name === "AbortError" ? `nothing came back within ${longestMs} ms` : (code ?? String(thrown));
  } finally {
    server.close();
  }
}
