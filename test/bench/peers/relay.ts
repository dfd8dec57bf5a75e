import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Passes connections on to a port of this machine, and counts what goes to it and comes back: what a network would carry. */
export class CountingRelay implements AsyncDisposable {
  bytes = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(server: Server, target: () => number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (caller) => this.#pass(caller, connect(target(), "127.0.0.1")));
  }

  /** @param target asked at each connection, since what listens there may start later */
  static async start(target: () => number): Promise<CountingRelay> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new CountingRelay(server, target);
  }

  #pass(caller: Socket, host: Socket): void {
    for (const [from, to] of [
      [caller, host],
      [host, caller],
    ] as const) {
      this.#open.add(from);
      from.on("data", (chunk: Buffer) => {
        this.bytes += chunk.length;
      });
      from.on("error", () => to.destroy());
      from.on("close", () => this.#open.delete(from));
      from.pipe(to);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
