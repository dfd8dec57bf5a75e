import { connect, createServer, type Server, type Socket } from "node:net";

/** Passes connections on to the agent, and keeps the answers to uploads to itself. */
export class HoldingProxy implements AsyncDisposable {
  readonly #port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #held = Promise.withResolvers<string>();

  constructor(port: number, agentPort: number) {
    this.#port = port;
    this.#server = createServer((client) => this.#pass(client, connect(agentPort, "127.0.0.1")));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The first answer that was held back: the agent has given it, and nobody has seen it. */
  get held(): Promise<string> {
    return this.#held.promise;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
  }

  #pass(client: Socket, agent: Socket): void {
    let upload: boolean | undefined;
    client.on("data", (bytes: Buffer) => {
      upload ??= bytes.toString("latin1").startsWith("POST /v1/apps/shop/releases?");
      agent.write(bytes);
    });
    agent.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1");
      if (upload === true && !text.startsWith("HTTP/1.1 100 ")) this.#held.resolve(text);
      else client.write(bytes);
    });
    for (const [socket, other] of [
      [client, agent],
      [agent, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
