import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { generateKey } from "../../shared/key.ts";
import { calls } from "../../shared/protocol.ts";
import { freePorts } from "../harness/ports.ts";
import { BadHost } from "./bad-host.ts";
import { expectFailedHost, resultOf } from "./bad-result.ts";

let host: BadHost;
beforeAll(async () => {
  host = await BadHost.start({ name: "bad" });
});
afterAll(() => host?.[Symbol.asyncDispose]());

/** The good host comes first: it must not be touched because of the other. */
async function deployBeside(other: string) {
  const project = await host.project({ version: "v2" });
  const inputs = { hosts: `${host.agent.url}\nhttp://${other}` };
  const result = await host.unchangedBy(() => host.run(project, { inputs }));
  expect.soft(resultOf(result)[host.name]).toEqual({ outcome: "not_started" });
  return result;
}

describe("a deploy is refused", () => {
  it("where no agent is, also on the hosts that have one", async () => {
    const [port] = await freePorts(1);
    const missing = `127.0.0.1:${port}`;
    expectFailedHost(await deployBeside(missing), missing, {
      code: "agent_unreachable",
      says: [`No agent answers at ${missing}: connect ECONNREFUSED`, "Nothing was changed on this host", "firewall"],
    });
  });

  it("where another version of the agent is, which gets nothing but the question", async () => {
    await using other = await OtherAgent.start({ name: "cutover-agent", version: "9.1.0", protocol: 9 });
    expectFailedHost(await deployBeside(other.name), other.name, {
      code: "agent_incompatible",
      says: [`The agent at ${other.name} is version 9.1.0, with protocol 9`, "Nothing was sent", "same major version"],
    });
    expect(other.calls).toEqual([`GET ${calls.health.path}`]);
  });

  it("where something else than an agent answers", async () => {
    await using other = await OtherAgent.start({ status: "UP" });
    expectFailedHost(await deployBeside(other.name), other.name, {
      code: "agent_incompatible",
      says: [`What answers at ${other.name} is not a cutover agent`, "Check the address in hosts"],
    });
  });

  // A stranger must not learn which apps a host has: the code is the same as for a token that does not prove enough.
  it("where the host has no such app", async () => {
    const project = await host.project({ version: "v2", config: { app: "bakery" } });
    const said = host.agent.log.length;
    const result = await host.unchangedBy(() => host.run(project));
    expectFailedHost(result, host.name, {
      code: "unauthorized",
      says: ["Either the host has no app of this name", "Nothing was changed", "`cutover app list` shows the apps"],
    });
    expect(host.agent.log.slice(said)).toContain('"reason":"app_unknown"');
  });

  it("where the host has no such app, which a local operator is told", async () => {
    const { code, stdout, stderr } = await host.unchangedBy(() => host.agent.cutover("status", "bakery"));
    expect(code).toBe(1);
    expect(stdout + stderr).toContain("app_not_found");
  });

  it("where the app does not trust this key", async () => {
    const { privatePem } = await generateKey();
    const project = await host.project({ version: "v2" });
    const said = host.agent.log.length;
    const result = await host.unchangedBy(() => host.run(project, { inputs: { "signing-key": privatePem } }));
    expectFailedHost(result, host.name, {
      code: "unauthorized",
      says: ["a key that the app trusts", "Nothing was changed", "whom each one trusts"],
    });
    expect(host.agent.log.slice(said)).toContain('"reason":"key_unknown"');
  });

  it("where the host does not allow the app this address", async () => {
    const project = await host.project({ version: "v2", config: { site: { listen: [443] } } });
    const result = await host.unchangedBy(() => host.run(project));
    const allowed = `127.0.0.1:${host.port}`;
    expectFailedHost(result, host.name, {
      code: "listen_not_allowed",
      says: [`does not allow shop to listen on 443; it allows ${allowed}`, settingsFile(), `listen: [${allowed}, 443]`],
    });
  });

  it("where the host does not allow the app this domain", async () => {
    const project = await host.project({ version: "v2", config: { site: { server_name: ["bank.example.com"] } } });
    const result = await host.unchangedBy(() => host.run(project));
    expectFailedHost(result, host.name, {
      code: "domain_not_allowed",
      says: ["the domain bank.example.com; it allows none", settingsFile(), 'domains: ["bank.example.com"]'],
    });
  });
});

function settingsFile(): string {
  return join(embeddedLayout(host.agent.directory).apps, "shop.yml");
}

/** Something that answers every call with one JSON document. */
class OtherAgent implements AsyncDisposable {
  readonly calls: string[] = [];
  readonly #server: Server;

  private constructor(document: object) {
    this.#server = createServer((request, response) => {
      this.calls.push(`${request.method} ${request.url}`);
      response.setHeader("content-type", "application/json").end(JSON.stringify(document));
    });
  }

  static async start(document: object): Promise<OtherAgent> {
    const agent = new OtherAgent(document);
    await new Promise<void>((resolve) => agent.#server.listen(0, "127.0.0.1", resolve));
    return agent;
  }

  get name(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
