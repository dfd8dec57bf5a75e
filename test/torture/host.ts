import { createReadStream, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppState } from "../../agent/deploy/state.ts";
import { loadState } from "../../agent/deploy/state-format.ts";
import type { Effect } from "../../agent/effects.ts";
import type { Fault } from "../../agent/faults.ts";
import { startEmbedded } from "../../agent/host/embedded/embedded.ts";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import { formatAudience } from "../../shared/audience.ts";
import { pathOf } from "../../shared/call.ts";
import { importPrivateKey, signToken } from "../../shared/key.ts";
import { calls, type DeploymentView } from "../../shared/protocol.ts";
import { processesIn } from "../e2e/host-snapshot.ts";
import { EmbeddedAgent, type Key } from "../harness/agent.ts";
import { call, finished } from "../harness/deploy.ts";
import { freePortRange, freePorts } from "../harness/ports.ts";
import { processesOfPidFiles, signalAll, waitForEnd } from "../harness/processes.ts";
import { Scratch } from "../harness/scratch.ts";
import { type Bind, cutAt, packRelease, type ReleaseOptions } from "./bundles.ts";
import { type Logged, takeEffectLog } from "./effect-log.ts";
import { releaseOf } from "./prober.ts";

export interface Strike {
  fault: Fault;
  effect: Effect;
  /** At the n-th time of the effect; the first unless given. */
  time?: number;
}

interface Places {
  bind: Bind;
  /** The ports of the site and of another app's site. */
  ports: [number, number];
  portRange: string | undefined;
}

/** An embedded agent with a small app. Its effects can be struck, and its state is read from outside. */
export class TortureHost implements AsyncDisposable {
  readonly agent: EmbeddedAgent;
  readonly bind: Bind;
  readonly site: string;
  readonly #faults: Scratch;
  readonly #otherPort: number;
  readonly #portRange: string | undefined;
  #key: Key = { privatePem: "", publicLine: "", file: "" };

  private constructor(agent: EmbeddedAgent, faults: Scratch, { bind, ports, portRange }: Places) {
    this.agent = agent;
    this.#faults = faults;
    this.bind = bind;
    this.site = `http://127.0.0.1:${ports[0]}`;
    this.#otherPort = ports[1];
    this.#portRange = portRange;
  }

  static async start(bind: Bind): Promise<TortureHost> {
    const faults = new Scratch("faults");
    const [agentPort = 0, port = 0, otherPort = 0] = await freePorts(3);
    const portRange = bind === "port" ? await freePortRange(24) : undefined;
    const agent = new EmbeddedAgent(agentPort, { name: `torture-${bind}`, env: { CUTOVER_FAULTS: faults.path } });
    const host = new TortureHost(agent, faults, { bind, ports: [port, otherPort], portRange });
    try {
      await agent.start();
      host.#key = await agent.newKey();
      await agent.addApp({ key: host.#key, ports: [port], ...(portRange !== undefined && { portRange }) });
      await host.deploy();
      await host.deploy();
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  get data(): string {
    return embeddedLayout(this.agent.directory).data;
  }

  /** Strikes the effect once, from now on. */
  arm({ fault, effect, time = 1 }: Strike): void {
    writeFileSync(join(this.#faults.path, "fault"), `${fault} ${effect} ${time}\n`);
  }

  /** @returns whether the fault has struck */
  disarm(): boolean {
    const file = join(this.#faults.path, "fault");
    const struck = !existsSync(file);
    rmSync(file, { force: true });
    return struck;
  }

  /** What the agent did since the last call. */
  takeEffects(): Logged[] {
    return takeEffectLog(join(this.#faults.path, "effects"));
  }

  get stateFile(): string {
    return join(this.data, "apps", "shop", "state.json");
  }

  async state(): Promise<AppState> {
    return loadState({ load: async () => JSON.parse(readFileSync(this.stateFile, "utf8")) }, "shop");
  }

  /** @throws Error unless it succeeds */
  async deploy(options: ReleaseOptions = {}): Promise<DeploymentView> {
    return succeeded(await this.tryDeploy(options));
  }

  async tryDeploy(options: ReleaseOptions = {}): Promise<DeploymentView> {
    const { config, newEnvironment = false, activate = true, app = "shop", cut = false } = options;
    const { path: into } = this.agent.scratch;
    const bundle = await packRelease(into, { bind: this.bind, config: config ?? {}, newEnvironment, app, cut });
    try {
      return await finished(
        this.agent,
        pathOf(calls.deploy, { app }, { activate }),
        createReadStream(bundle, cut ? { end: cutAt } : {}),
      );
    } finally {
      await rm(bundle, { force: true });
    }
  }

  async activate(release: string, weight = 100): Promise<DeploymentView> {
    return finished(this.agent, pathOf(calls.activate, { app: "shop", release }), json({ weight }));
  }

  async rollback(): Promise<DeploymentView> {
    return finished(this.agent, pathOf(calls.rollback, { app: "shop" }), json({}));
  }

  async redeploy(): Promise<DeploymentView> {
    return finished(this.agent, pathOf(calls.redeploy, { app: "shop" }), json({}));
  }

  async abort(deployment: string): Promise<unknown> {
    return call(this.agent, "POST", pathOf(calls.abort, { id: deployment }), json({}));
  }

  async pin(release: string, pinned: boolean): Promise<unknown> {
    return call(this.agent, pinned ? "PUT" : "DELETE", pathOf(calls.pin, { app: "shop", release }));
  }

  async repair(): Promise<void> {
    await call(this.agent, "POST", pathOf(calls.repair, { app: "shop" }), json({}));
  }

  /** Blocks the app, as an agent does if it cannot recover it. The next start tries once more. */
  async hold(): Promise<void> {
    const state = await this.state();
    const journal = state.journal && { ...state.journal, attempts: 3 };
    writeFileSync(this.stateFile, JSON.stringify({ ...state, journal, held: "it could not be undone 3 times" }));
  }

  tearState(): void {
    writeFileSync(this.stateFile, readFileSync(this.stateFile, "utf8").slice(0, 200));
  }

  /** Another site's file that nginx refuses. */
  breakNginx(broken: boolean): void {
    const file = join(embeddedLayout(this.agent.directory).nginx.confDir, "zz-another-site.conf");
    if (broken) writeFileSync(file, "this is no directive;\n");
    else rmSync(file, { force: true });
  }

  async maintain(on: boolean): Promise<void> {
    await this.command("maintenance", on ? "on" : "off", "shop");
  }

  /** Runs a command of `cutover`. @throws Error with its output unless it succeeds */
  async command(...args: string[]): Promise<void> {
    const { code, stderr } = await this.agent.cutover(...args);
    if (code !== 0) throw new Error(stderr);
  }

  /** Reads the app as the Action would: over HTTP, with a token. */
  async readByToken(): Promise<void> {
    const { host } = new URL(this.agent.url);
    const audience = formatAudience({ host, app: "shop", operation: { name: "read" } });
    const token = await signToken(await importPrivateKey(this.#key.privatePem), audience, { sub: "torture" });
    await fetch(this.agent.url + pathOf(calls.app, { app: "shop" }), { headers: { authorization: `Bearer ${token}` } });
  }

  /** Another app on the host, with a release that is live. */
  async addApp(app: string): Promise<void> {
    const trust = [{ key: this.#key.publicLine }];
    const settings = { trust, listen: [`127.0.0.1:${this.#otherPort}`] };
    await this.agent.writeAppSettings(
      app,
      this.#portRange === undefined ? settings : { ...settings, ports: this.#portRange },
    );
    succeeded(await this.tryDeploy({ app }));
  }

  async removeApp(app: string): Promise<void> {
    if (!existsSync(this.settingsFile(app))) return;
    await call(this.agent, "DELETE", pathOf(calls.removeApp, { app }));
    rmSync(this.settingsFile(app));
  }

  settingsFile(app: string): string {
    return join(this.agent.directory, "etc", "apps", `${app}.yml`);
  }

  /** Kills all as a power cut would, and starts nginx and supervisord again as a boot would, without the agent. */
  async reboot(): Promise<void> {
    const { scratch, directory } = this.agent;
    scratch.remember();
    await this.agent.kill();
    const all = scratch.processes();
    signalAll(all, "SIGKILL");
    await waitForEnd(all, 10_000);
    await startEmbedded(directory);
    for (const process of processesOfPidFiles(directory)) scratch.adopt(process);
  }

  /** The release that answers, as soon as one does; otherwise the last failure. */
  async serves(ms: number): Promise<string> {
    const deadline = performance.now() + ms;
    for (;;) {
      const answer = await releaseOf(this.site).catch((error: Error) => error);
      if (typeof answer === "string") return answer;
      if (performance.now() > deadline) return answer.message;
      await sleep(50);
    }
  }

  /** Waits until no deployment and no housekeeping is left. @returns false if the time is over before */
  async settles(ms: number): Promise<boolean> {
    const deadline = performance.now() + ms;
    for (;;) {
      const { journal, held, warm } = await this.state();
      if (journal === null && held === null && (warm === null || Date.parse(warm.until) > Date.now() + 30_000)) {
        return true;
      }
      if (performance.now() > deadline) return false;
      await sleep(20);
    }
  }

  /**
   * Waits for build steps whose agent was killed. On a host systemd ends them with it.
   * @returns false if they do not end
   */
  async stepsEnd(ms: number): Promise<boolean> {
    const { scratch, directory, pid } = this.agent;
    const deadline = performance.now() + ms;
    for (;;) {
      const known = new Set([pid, ...scratch.processes().map((each) => each.pid)]);
      if (processesIn(directory).every((each) => known.has(each.pid))) return true;
      if (performance.now() > deadline) return false;
      await sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await this.#faults[Symbol.asyncDispose]();
  }
}

function json(value: object): Readable {
  return Readable.from([Buffer.from(JSON.stringify(value))]);
}

/** @throws Error with the reason unless it ended well */
export function succeeded(view: DeploymentView): DeploymentView {
  if (view.outcome === "succeeded" || view.outcome === "staged") return view;
  throw new Error(`${view.kind} ${view.release} ${view.outcome}: ${view.failure?.code} ${view.failure?.detail}`);
}
