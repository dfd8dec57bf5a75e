import { mkdir, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quickShop } from "../fixtures/shop.ts";
import { freePorts } from "../harness/ports.ts";
import { Fleet, type Host } from "./hosts.ts";

/** As many as the sample project of the figures has, with names that do not repeat themselves. */
const files = 2947;

/** Counts what goes over the wire to an agent and back. */
class Meter implements AsyncDisposable {
  bytes = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(agentPort: number) {
    this.#server = createServer((client) => {
      const agent = connect(agentPort, "127.0.0.1");
      const pass = (from: Socket, to: Socket) => {
        this.#sockets.add(from);
        from.on("data", (bytes: Buffer) => {
          this.bytes += bytes.length;
          to.write(bytes);
        });
        from.on("end", () => to.end());
        from.on("error", () => to.destroy());
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      };
      pass(client, agent);
      pass(agent, client);
    });
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let fleet: Fleet;
let host: Host;
let meter: Meter;
let through: string;

beforeAll(async () => {
  fleet = await Fleet.start(1, { shop: { ...quickShop, keep_warm: "0s" } });
  host = fleet.hosts[0] as Host;
  const [port = 0] = await freePorts(1);
  through = `127.0.0.1:${port}`;
  await host.agent.changeAgentSettings({ names: [through] });
  meter = new Meter(Number(new URL(host.agent.url).port));
  await meter.listen(port);
});
afterAll(async () => {
  await meter?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

/** @returns the bytes of both directions */
async function deploy(version: string): Promise<number> {
  await fleet.checkout({ version });
  const directory = join(fleet.workspace, "data");
  await mkdir(directory, { recursive: true });
  for (let index = 0; index < files; index++) {
    await writeFile(join(directory, `${(index * 2654435761).toString(36)}-${index}.txt`), `file ${index}\n`);
  }
  meter.bytes = 0;
  const result = await fleet.action({ hosts: `http://${through}` });
  expect(result.exitCode, result.stdout).toBe(0);
  return meter.bytes;
}

test("one changed file among thousands travels in kilobytes, and in less if an earlier job's manifest is kept", async () => {
  await deploy("v1");
  const withCache = await deploy("v2");
  await rm(join(fleet.workspace, ".cutover", "manifests"), { recursive: true });
  const without = await deploy("v3");
  expect(withCache).toBeLessThan(20_000);
  expect(without).toBeLessThan(110_000);
});
