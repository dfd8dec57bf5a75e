import { spawn } from "node:child_process";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemPath } from "./places.ts";
import { processId } from "./processes.ts";
import { endOf } from "./run.ts";
import { Scratch } from "./scratch.ts";

/** A Redis of its own on a unix socket, with nothing on disk but that. */
export class Redis implements AsyncDisposable {
  readonly #scratch = new Scratch("redis");

  /** Resolves when it answers. */
  static async start(): Promise<Redis> {
    const redis = new Redis();
    try {
      await redis.#run();
      return redis;
    } catch (error) {
      await redis[Symbol.asyncDispose]();
      throw error;
    }
  }

  get socket(): string {
    return join(this.#scratch.path, "redis.sock");
  }

  /** As Celery's `broker` takes it. */
  get broker(): string {
    return `redis+socket://${this.socket}`;
  }

  async #run(): Promise<void> {
    const settings = { port: "0", unixsocket: this.socket, unixsocketperm: "777", save: "", dir: this.#scratch.path };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn("redis-server", options, { env: { PATH: systemPath }, stdio: "ignore" });
    if (child.pid !== undefined) this.#scratch.adopt(processId(child.pid));
    let ended = false;
    const end = endOf(child).finally(() => {
      ended = true;
    });
    end.catch(() => undefined);
    const deadline = performance.now() + 20_000;
    while (!(await this.#answers())) {
      if (ended) throw new Error(`redis-server ended with exit code ${await end}`);
      if (performance.now() > deadline) throw new Error("redis-server does not answer");
      await sleep(20);
    }
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const connection = createConnection(this.socket);
      connection.once("error", () => resolve(false));
      connection.once("data", (bytes) => {
        connection.destroy();
        resolve(bytes.toString().startsWith("+PONG"));
      });
      connection.write("PING\r\n");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scratch[Symbol.asyncDispose]();
  }
}
