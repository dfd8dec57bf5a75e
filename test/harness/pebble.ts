import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request } from "node:https";
import { join } from "node:path";
import { makeCertificate } from "./certificate.ts";
import { freePorts } from "./ports.ts";
import { processId } from "./processes.ts";
import { Scratch } from "./scratch.ts";

/** What Debian's pebble does to its clients, in its own environment variables. */
export const faults = {
  /** Percent of the good nonces that it refuses. */
  PEBBLE_WFE_NONCEREJECT: "20",
  /** Percent of the proven names that it remembers. */
  PEBBLE_AUTHZREUSE: "50",
  /** Seconds that it may wait before it asks for the answer to a challenge. */
  PEBBLE_VA_SLEEPTIME: "2",
  PEBBLE_CHAIN_LENGTH: "2",
};

interface PebbleOptions {
  /** Where it asks for the answers to challenges, for every name on this host. */
  httpPort: number;
  env?: Record<string, string>;
  /** Its own address, 127.0.0.1 unless given; then also that of every name. With words before its programs, such as nsenter's. */
  address?: string;
  /** The address of every name. */
  sites?: string;
  through?: string[];
  /** Sees each request first. @returns whether it has answered */
  front?: (request: IncomingMessage, response: ServerResponse, body: string) => boolean | Promise<boolean>;
}

/** A pebble of Debian's, the test authority of Let's Encrypt, on addresses of this host alone. `settings`: `acme` of agent.yml. */
export class Pebble implements AsyncDisposable {
  readonly scratch = new Scratch("pebble");
  settings = { directory: "", ca: "" };
  readonly #closing: (() => void)[] = [];

  static async open({
    httpPort,
    env = faults,
    address = "127.0.0.1",
    sites = address,
    through = [],
    front,
  }: PebbleOptions): Promise<Pebble> {
    const pebble = new Pebble();
    const [own = 0, dns = 0, dnsControl = 0, before = 0] = await freePorts(4);
    const dir = pebble.scratch.path;
    const { certificateFile, keyFile } = await makeCertificate(dir, "authority", 2, address);
    const config = {
      listenAddress: `${address}:${own}`,
      managementListenAddress: "",
      certificate: certificateFile,
      privateKey: keyFile,
      httpPort,
      tlsPort: 1,
    };
    writeFileSync(join(dir, "pebble.json"), JSON.stringify({ pebble: config }));
    const names = [
      "-dns01",
      `127.0.0.1:${dns}`,
      "-management",
      `127.0.0.1:${dnsControl}`,
      "-defaultIPv6",
      "",
      "-defaultIPv4",
      sites,
    ];
    await pebble.#start(
      [...through, "pebble-challtestsrv", ...names, "-http01", "", "-https01", "", "-tlsalpn01", ""],
      {},
      "Starting management server",
    );
    const program = [...through, "pebble", "-config", join(dir, "pebble.json")];
    await pebble.#start([...program, "-dnsserver", `127.0.0.1:${dns}`, "-strict"], env, "ACME directory available");
    const pair = { certificate: readFileSync(certificateFile, "utf8"), key: readFileSync(keyFile, "utf8") };
    if (front !== undefined) await pebble.#front(before, own, pair, front);
    pebble.settings = {
      directory: `https://${address}:${front === undefined ? own : before}/dir`,
      ca: certificateFile,
    };
    return pebble;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing) close();
    await this.scratch[Symbol.asyncDispose]();
  }

  /** @param ready what it prints when it listens */
  async #start([program = "", ...args]: string[], env: Record<string, string>, ready: string): Promise<void> {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH, ...env } });
    this.scratch.adopt(processId(child.pid ?? 0));
    let said = "";
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          said += text;
          if (said.includes(ready)) resolve();
        });
      }
      child.once("exit", (code) => reject(new Error(`${args.join(" ")} ended with ${code}:\n${said}`)));
    });
  }

  /** Pebble makes its addresses of the name by which it was called, so it works behind another server. */
  async #front(
    port: number,
    own: number,
    tls: { certificate: string; key: string },
    front: NonNullable<PebbleOptions["front"]>,
  ) {
    const server = createServer({ cert: tls.certificate, key: tls.key }, async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString();
      if (await front(incoming, response, body)) return;
      const { method, url: path, headers } = incoming;
      const onward = request(
        { host: "127.0.0.1", port: own, path, method, headers, rejectUnauthorized: false },
        (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(response);
        },
      );
      onward.on("error", () => response.destroy());
      onward.end(body);
    });
    this.#closing.push(() => {
      server.close();
      server.closeAllConnections();
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  }
}
