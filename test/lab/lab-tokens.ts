import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { node } from "../harness/places.ts";
import { Scratch } from "../harness/scratch.ts";
import type { Lab } from "./lab.ts";

const program = fileURLToPath(new URL("../fakes/token-server-main.ts", import.meta.url));
const port = 9080;

/**
 * GitHub's token service for a lab: the job asks it in the lab's network, and each host finds the same public keys at its own
 * loopback address, the only one from which an agent takes keys in plain HTTP. What a host has asked for it keeps over a
 * reboot, which ends its server.
 */
export class LabTokens implements AsyncDisposable {
  /** As agent.yml's `github` names it. */
  readonly issuer = `http://127.0.0.1:${port}`;
  /** What a job's environment has. */
  env: Record<string, string> = {};
  readonly #scratch = new Scratch("lab-tokens");
  readonly #servers: ChildProcess[] = [];

  static async start(lab: Lab): Promise<LabTokens> {
    const tokens = new LabTokens();
    const networks = [lab.namespaces.pid, ...lab.hosts.map((host) => host.firstProcess)];
    for (const [index, pid] of networks.entries()) {
      const env = await tokens.#listen(pid, lab.namespaces.pid);
      if (index === 0) tokens.env = env;
    }
    return tokens;
  }

  /** @param pids of a process in the network, and of the lab's first one: the server ends with that */
  async #listen(network: number, lab: number): Promise<Record<string, string>> {
    const enter = ["nsenter", `--net=/proc/${network}/ns/net`, `--pid=/proc/${lab}/ns/pid`, "--"];
    const key = join(this.#scratch.path, "issuer.pem");
    const options = ["--port", String(port), "--issuer", this.issuer, "--key", key];
    const [command = "", ...words] = [...enter, node, program, ...options];
    const server = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    this.#servers.push(server);
    const [line] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
    return (JSON.parse(line) as { env: Record<string, string> }).env;
  }

  /** After its lab, with which the servers end. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.kill();
    await this.#scratch[Symbol.asyncDispose]();
  }
}
