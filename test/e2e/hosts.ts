import { join } from "node:path";
import { expect } from "vitest";
import { copyShop, quickShop, type ShopOptions } from "../fixtures/shop.ts";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type AppSettingsFile, type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { Scratch } from "../harness/scratch.ts";

export const siteName = "shop.example.com";

export interface Host {
  agent: EmbeddedAgent;
  key: Key;
  /** The site, as a visitor knows it. */
  site: string;
  /** Where that is. */
  port: number;
}

export interface FleetOptions {
  /** What the hosts' owner writes into apps/shop.yml, apart from what `cutover app add` does. */
  settings?: AppSettingsFile;
  /** Keys of cutover.yml in place of the fixture's, unless a version has its own; `quickShop` unless given. */
  shop?: NonNullable<ShopOptions["config"]>;
}

/** A repository's checkout and the hosts that it is deployed to. */
export class Fleet implements AsyncDisposable {
  readonly #scratch = new Scratch("shop");
  readonly #shop: NonNullable<ShopOptions["config"]>;
  readonly hosts: Host[] = [];

  private constructor(shop: NonNullable<ShopOptions["config"]>) {
    this.#shop = shop;
  }

  static async start(count: number, { settings = {}, shop = quickShop }: FleetOptions = {}): Promise<Fleet> {
    const fleet = new Fleet(shop);
    try {
      for (let index = 0; index < count; index++) await fleet.#addHost(fleet.hosts[0]?.key, settings);
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All hosts trust the same key, as those of one repository do. */
  async #addHost(shared: Key | undefined, settings: AppSettingsFile): Promise<void> {
    const agent = await startAgent();
    const [port = 0] = await freePorts(1);
    const key = shared ?? (await agent.newKey());
    this.hosts.push({ agent, key, site: `http://127.0.0.1:${port}`, port });
    await agent.addApp({ key, ports: [port], domains: [siteName] });
    if (Object.keys(settings).length > 0) await agent.changeAppSettings("shop", settings);
  }

  get workspace(): string {
    return join(this.#scratch.path, "checkout");
  }

  get urls(): string {
    return this.hosts.map(({ agent }) => agent.url).join("\n");
  }

  checkout(options: ShopOptions): Promise<void> {
    return copyShop(this.workspace, { ...options, config: { ...this.#shop, ...options.config } });
  }

  async action(
    inputs: Record<string, string> = {},
    env: Record<string, string> = {},
    onLine?: (line: string) => void,
  ): Promise<ActionResult> {
    const signingKey = this.hosts[0]?.key.privatePem ?? "";
    return runAction({
      inputs: { hosts: this.urls, "signing-key": signingKey, ...inputs },
      cwd: this.workspace,
      env: { ...(await offlinePip()), ...env },
      ...(onLine !== undefined && { onLine }),
    });
  }

  /** Checks a version out and deploys it; the step must pass. */
  async deploy(options: ShopOptions, inputs: Record<string, string> = {}): Promise<ActionResult> {
    await this.checkout(options);
    const result = await this.action(inputs);
    expect(result.exitCode, result.stdout).toBe(0);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { agent } of this.hosts) await agent[Symbol.asyncDispose]();
    await this.#scratch[Symbol.asyncDispose]();
  }
}

export async function get(site: string, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${site}${path}`);
  return { status: response.status, text: await response.text() };
}

/** What `/version` answers: version, process, release. */
export async function versionOf(site: string): Promise<{ version: string; pid: number; release: string }> {
  const [version = "", pid = "", release = ""] = (await get(site, "/version")).text.trim().split(" ");
  return { version, pid: Number(pid), release };
}

/** Addresses of the hashed static files that the front page names. */
export async function staticFilesOf(site: string): Promise<string[]> {
  const { text } = await get(site, "/");
  return [...text.matchAll(/(?:href|src)="(\/static\/[^"]+)"/g)].map(([, path]) => path ?? "");
}
