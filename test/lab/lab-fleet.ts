import { copyFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { makePackage } from "../../agent/packaging/package.ts";
import { generateKey } from "../../shared/key.ts";
import { copyShop, quickShop, type ShopOptions } from "../fixtures/shop.ts";
import { type ActionResult, type ActionRun, type RunningAction, startAction } from "../harness/action.ts";
import { node } from "../harness/places.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";
import type { Load } from "../load/load.ts";
import { startLoadProcess } from "../load/process.ts";
import { Lab, type LabOptions } from "./lab.ts";
import type { LabHost } from "./lab-host.ts";
import { LabTokens } from "./lab-tokens.ts";

export const siteName = "shop.example.com";
/** The hosts have no Django of their distribution's, so that it comes in wheels. */
const quick = { server: quickShop.server, release: undefined, keep_warm: "0s" } as const;
/** Any will do, as long as it is the same. */
const date = 1_750_000_000;

type GeneratedKey = Awaited<ReturnType<typeof generateKey>>;

export interface Answer {
  status: number;
  text: string;
}

/** A repository's checkout, and hosts of a lab with the agent's package, that its shop is deployed to. */
export class LabFleet implements AsyncDisposable {
  readonly lab: Lab;
  readonly #scratch = new Scratch("lab-shop");
  /** All hosts trust it, as those of one repository do. */
  readonly #key: GeneratedKey;
  #tokens: LabTokens | undefined;

  private constructor(lab: Lab, key: GeneratedKey) {
    this.lab = lab;
    this.#key = key;
  }

  /** Hosts that are up, with nothing of cutover on them yet. */
  static async start(count: number, options: LabOptions = {}): Promise<LabFleet> {
    return new LabFleet(await Lab.start(count, options), await generateKey());
  }

  get hosts(): LabHost[] {
    return this.lab.hosts;
  }

  get workspace(): string {
    return join(this.#scratch.path, "checkout");
  }

  /** The package that the sources make, without the time that compression takes. @returns its path */
  package(version = "0.1.0"): Promise<string> {
    const architecture = process.arch === "arm64" ? "arm64" : "amd64";
    return makePackage({ version, architecture, date, into: this.#scratch.path, compression: "none" });
  }

  /** @returns where the package is on the host */
  async copyPackage(host: LabHost, file: string): Promise<string> {
    const inHost = join("/root", basename(file));
    await copyFile(file, host.path(inHost));
    return inHost;
  }

  /** `apt install ./cutover-agent_*.deb`. */
  async install(host: LabHost, file: string): Promise<void> {
    await host.check("apt-get", "install", "-y", await this.copyPackage(host, file));
  }

  /** From now on jobs have GitHub's tokens and no key. Before `addShop`, so that the hosts know its issuer. */
  async useTokens(): Promise<void> {
    this.#tokens = await LabTokens.start(this.lab);
  }

  /** @throws Error when jobs have a key */
  get tokens(): LabTokens {
    if (this.#tokens === undefined) throw new Error("the lab has no tokens");
    return this.#tokens;
  }

  /** Where the agent listens and by which name it is known; it speaks plain HTTP. @param more keys of agent.yml */
  async writeAgentYml(host: LabHost, more: object = {}): Promise<void> {
    const address = `${host.address}:7070`;
    const github = this.#tokens && [{ issuer: this.#tokens.issuer, server: "https://github.com" }];
    const settings = { listen: address, names: [address], insecure: true, ...(github && { github }), ...more };
    await host.write("/etc/cutover/agent.yml", stringify(settings));
  }

  /** What the owner of a host does once: its address and name for the agent, a user and settings for the app. */
  async addShop(host: LabHost): Promise<void> {
    await this.writeAgentYml(host);
    await host.check("systemctl", "restart", "cutover-agent");
    await this.addApp(host, "shop", "--listen", "80", "--domain", siteName);
  }

  /** A user of the app's own, and its settings. @param site words of `cutover app add` */
  async addApp(host: LabHost, app: string, ...site: string[]): Promise<void> {
    await host.check("useradd", "--system", app);
    const signer =
      this.#tokens === undefined
        ? ["--key", this.#key.publicLine]
        : ["--github", "acme/shop", "--environment", "production"];
    await host.check("cutover", "app", "add", app, ...signer, "--user", app, ...site);
  }

  /** The key that signs for this repository, in a file as `cutover keygen` writes it. */
  async keyFile(): Promise<string> {
    const file = join(this.#scratch.path, "shop.key");
    await writeFile(file, this.#key.privatePem, { mode: 0o600 });
    return file;
  }

  /** Checks a version out and starts the built Action in the lab's network. */
  async startDeploy(options: ShopOptions, run: Partial<ActionRun> = {}): Promise<RunningAction> {
    await copyShop(this.workspace, { ...options, config: { ...quick, ...options.config } });
    return this.startAction({ cwd: this.workspace, ...run });
  }

  /** Starts the built Action in the lab's network, with all hosts. @param run with the directory of the checkout */
  startAction(run: Partial<ActionRun> & Pick<ActionRun, "cwd">): RunningAction {
    const hosts = this.hosts.map(({ address }) => `http://${address}:7070`).join("\n");
    return startAction({
      through: this.lab.namespaces.inNetwork,
      ...run,
      inputs: { hosts, ...(this.#tokens === undefined && { "signing-key": this.#key.privatePem }), ...run.inputs },
      env: { PIP_NO_INDEX: "1", PIP_FIND_LINKS: this.lab.wheels, ...this.#tokens?.env, ...run.env },
    });
  }

  async deploy(options: ShopOptions, run: Partial<ActionRun> = {}): Promise<ActionResult> {
    return (await this.startDeploy(options, run)).result;
  }

  /** A request from the lab's network. @param site another one than the shop @throws Error when nothing answers */
  async get(host: LabHost, path: string, { port, name } = { port: 80, name: siteName }): Promise<Answer> {
    const request = [`http://${host.address}:${port}${path}`, name];
    const argv = [...this.lab.namespaces.inNetwork, node, "--input-type=module", "-e", ask, "--", ...request];
    const { code, stdout, stderr } = await runProgram(argv);
    if (code !== 0) throw new Error(stderr.trim());
    return JSON.parse(stdout) as Answer;
  }

  /** What `/version` answers. @throws Error with what came instead */
  async visit(host: LabHost): Promise<{ version: string; release: string }> {
    const { status, text } = await this.get(host, "/version");
    const [, version, release] = /^(\S+) \d+ (\S+)\s*$/.exec(text) ?? [];
    if (status === 200 && version !== undefined && release !== undefined) return { version, release };
    throw new Error(`status ${status}: ${text.slice(0, 200)}`);
  }

  /** The same of a host that comes up: as soon as it answers. @throws Error after half a minute */
  async firstVisit(host: LabHost): Promise<{ version: string; release: string }> {
    const deadline = performance.now() + 30_000;
    for (;;) {
      try {
        return await this.visit(host);
      } catch (thrown) {
        if (performance.now() > deadline) throw thrown;
        // Each visit starts a program, and the host needs the processors for its boot.
        await sleep(100);
      }
    }
  }

  versions(): Promise<string[]> {
    return Promise.all(this.hosts.map(async (host) => (await this.visit(host)).version));
  }

  /** Visitors of a host, from the lab's network. */
  load(host: LabHost, rate = 30): Promise<Load> {
    return startLoadProcess({ url: `http://${host.address}`, host: siteName, rate }, this.lab.namespaces.inNetwork);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    await this.#tokens?.[Symbol.asyncDispose]();
    await this.#scratch[Symbol.asyncDispose]();
  }
}

const ask = `
import { get } from "node:http";
const [url, host] = process.argv.slice(1);
get(url, { headers: { host }, agent: false, timeout: 10_000 }, async (response) => {
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += part;
  console.log(JSON.stringify({ status: response.statusCode, text }));
}).on("timeout", function () { this.destroy(new Error("timeout")); }).on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
`;
