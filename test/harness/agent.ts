import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import type { z } from "zod";
import type { agentSettingsSchema, appSettingsSchema } from "../../agent/settings.ts";
import { pathOf } from "../../shared/call.ts";
import { type AppView, appView, calls } from "../../shared/protocol.ts";
import { call } from "./deploy.ts";
import { agentProgram, cutoverProgram, node, systemPath } from "./places.ts";
import { freePorts } from "./ports.ts";
import { processesOfPidFiles, processId } from "./processes.ts";
import { endOf, type Finished, runProgram } from "./run.ts";
import { Scratch } from "./scratch.ts";
import { asAgent, type HelperSocket, listenForHelper, twoProcessSettings, users } from "./two-processes.ts";

export type AppSettingsFile = z.input<typeof appSettingsSchema>;

export interface AgentOptions {
  /** Part of the temporary directory's name. */
  name?: string;
  env?: Record<string, string>;
  /** `https` where agent.yml will have a certificate: then its log tells that it is ready. */
  scheme?: "http" | "https";
  /** Words before its command line. */
  before?: string[];
}

export interface Key {
  /** What the Action gets as `signing-key`. */
  privatePem: string;
  publicLine: string;
  file: string;
}

export interface NewApp {
  app?: string;
  key: Key;
  /** Ports of 127.0.0.1 that the site may listen on. */
  ports: number[];
  domains?: string[];
  /** For instances with `bind: port`. */
  portRange?: string;
}

/** Starts the built agent in embedded mode, in a temporary directory of its own, and returns when it answers. */
export async function startAgent(options: AgentOptions = {}): Promise<EmbeddedAgent> {
  const [port = 0] = await freePorts(1);
  const agent = new EmbeddedAgent(port, options);
  try {
    await agent.start(options.before);
    return agent;
  } catch (error) {
    await agent[Symbol.asyncDispose]();
    throw error;
  }
}

/** The built agent with an nginx and a supervisord of its own. Disposing of it ends all of them and removes their files. */
export class EmbeddedAgent implements AsyncDisposable {
  readonly scratch: Scratch;
  /** The agent's own directory, `--embedded DIR`. */
  readonly directory: string;
  /** As the Action's input `hosts` takes it. */
  readonly url: string;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #program = agentProgram;
  #options: string[] = [];
  #before: string[] = [];
  #ended: Promise<number> = Promise.resolve(0);
  #log = "";

  constructor(port: number, { name = "agent", env = {}, scheme = "http" }: AgentOptions) {
    this.scratch = new Scratch(name);
    this.directory = join(this.scratch.path, "host");
    this.url = `${scheme}://127.0.0.1:${port}`;
    this.#env = { PATH: `${dirname(node)}:${systemPath}`, HOME: this.scratch.path, LANG: "C.UTF-8", ...env };
  }

  /** What the agent printed. */
  get log(): string {
    return this.#log;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The exit code, when it has ended. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  /** Again after `kill` or `end`, over the same directory. @throws Error with its log when it does not answer */
  async start(before: string[] = []): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    await this.#run(["--embedded", this.directory, "--listen", new URL(this.url).host], before);
  }

  /**
   * Over the nginx and supervisord of the embedded mode, as over a host's own: by agent.yml, nginx's workers as www-data,
   * the app as a user of its own.
   */
  async startAsOnHost(user: string): Promise<void> {
    const builder = `build_user: ${users.builder}\n`;
    await this.#leaveEmbedded(user, (text) => `${text.replace(/group: .*/, "group: www-data")}${builder}`);
    await this.#run(["--config", join(this.directory, "etc/agent.yml")]);
  }

  /**
   * The same with an agent of its own user, and the helper that acts as root for it.
   * @param before words before the agent's program, which run as root
   */
  async startWithHelper(before: string[] = []): Promise<HelperSocket> {
    await this.#leaveEmbedded(users.app, (text) => twoProcessSettings(text, this.directory));
    // What root's agent has made so far; nothing was deployed yet.
    await rm(join(this.directory, "data"), { recursive: true });
    const helper = await listenForHelper(this.scratch, this.directory);
    await this.#run(["--config", join(this.directory, "etc/agent.yml")], [...before, ...asAgent()]);
    return helper;
  }

  async #leaveEmbedded(user: string, change: (text: string) => string): Promise<void> {
    await this.kill();
    const file = (name: string) => join(this.directory, "etc", name);
    const edit = async (name: string, change: (text: string) => string) =>
      writeFile(file(name), change(await readFile(file(name), "utf8")));
    await edit("apps/shop.yml", (text) => `${text}user: ${user}\n`);
    await edit("agent.yml", change);
    await edit("nginx/nginx.conf", (text) => text.replace("user root root;", "user www-data;"));
    const nginx = ["nginx", "-c", file("nginx/nginx.conf"), "-s", "reload"];
    const { code, stderr } = await runProgram(nginx, { env: this.#env });
    if (code !== 0) throw new Error(`nginx did not reload: ${stderr}`);
  }

  /** Again after `end` or `kill`, as it was started last; as another version, which an upgrade puts in its place. */
  async startAgain(version?: string): Promise<void> {
    if (version !== undefined) this.#program = await otherVersion(version, join(this.scratch.path, `agent-${version}`));
    await this.#run(this.#options, this.#before);
  }

  async #run(options: string[], before: string[] = []): Promise<void> {
    this.#options = options;
    this.#before = before;
    const said = this.#log.length;
    // By its own first line, which says with which flags node runs it.
    const [program = "", ...args] = [...before, this.#program, ...options];
    const child = spawn(program, args, {
      cwd: this.scratch.path,
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#log += text;
      });
    }
    this.#ended = endOf(child);
    if (child.pid !== undefined) this.scratch.adopt(processId(child.pid));
    await this.#answers(said);
    this.#adoptDaemons();
  }

  async #answers(said: number): Promise<void> {
    const deadline = performance.now() + 30_000;
    let ended: number | undefined;
    this.#ended.then(
      (code) => {
        ended = code;
      },
      () => {
        ended = -1;
      },
    );
    while (ended === undefined && performance.now() < deadline) {
      if (this.#log.slice(said).includes('"msg":"ready"') && this.url.startsWith("https:")) return;
      const answer = await fetch(`${this.url}/healthz`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok) return;
      await sleep(25);
    }
    const how = ended === undefined ? "does not answer" : `ended with exit code ${ended}`;
    throw new Error(`the agent ${how}:\n${this.#log}`);
  }

  // nginx and supervisord outlive a killed agent, and their children outlive a killed supervisord.
  #adoptDaemons(): void {
    for (const process of processesOfPidFiles(this.directory)) this.scratch.adopt(process);
  }

  async nginxPid(): Promise<number> {
    return Number(await readFile(join(this.directory, "nginx.pid"), "utf8"));
  }

  /** As a crash would end it: nginx and supervisord go on. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  /** Asks the agent to end, with its nginx and supervisord. @returns its exit code */
  async end(signal: "SIGINT" | "SIGTERM" = "SIGTERM"): Promise<number> {
    this.#child?.kill(signal);
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child?.kill("SIGTERM");
    // supervisord gives the instances ten seconds before it kills them.
    await Promise.race([this.#ended.catch(() => undefined), sleep(15_000, undefined, { ref: false })]);
    await this.scratch[Symbol.asyncDispose]();
  }

  /** Runs `cutover` for this agent. */
  cutover(...args: string[]): Promise<Finished> {
    const env = { ...this.#env, CUTOVER_EMBEDDED: this.directory };
    return runProgram([node, cutoverProgram, ...args], { cwd: this.scratch.path, env });
  }

  async newKey(name = "deploy"): Promise<Key> {
    const file = join(this.scratch.path, `${name}.key`);
    const { public: publicLine } = JSON.parse(await this.#checked("keygen", file, "--json")) as { public: string };
    return { file, publicLine, privatePem: await readFile(file, "utf8") };
  }

  async addApp({ app = "shop", key, ports, domains = [], portRange }: NewApp): Promise<void> {
    const listen = ports.flatMap((port) => ["--listen", `127.0.0.1:${port}`]);
    const names = domains.flatMap((domain) => ["--domain", domain]);
    const range = portRange === undefined ? [] : ["--ports", portRange];
    await this.#checked("app", "add", app, "--key", key.publicLine, ...listen, ...names, ...range);
  }

  /** Changes keys of agent.yml as the host's owner would, and starts the agent anew. */
  async changeAgentSettings(settings: z.input<typeof agentSettingsSchema>): Promise<void> {
    const file = join(this.directory, "etc", "agent.yml");
    await writeFile(file, stringify({ ...(parse(await readFile(file, "utf8")) as object), ...settings }));
    await this.kill();
    await this.start();
  }

  /** Changes keys of apps/<app>.yml as the host's owner would with an editor. */
  async changeAppSettings(app: string, settings: AppSettingsFile): Promise<void> {
    const file = join(this.directory, "etc", "apps", `${app}.yml`);
    await this.writeAppSettings(app, { ...(parse(await readFile(file, "utf8")) as AppSettingsFile), ...settings });
  }

  /** Writes apps/<app>.yml as the host's owner would with an editor. */
  async writeAppSettings(app: string, settings: AppSettingsFile): Promise<void> {
    const directory = join(this.directory, "etc", "apps");
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, `${app}.yml`), stringify(settings));
  }

  /** Writes apps/<app>.env, each value in quotes that it does not hold itself. */
  async writeSecrets(app: string, secrets: Record<string, string>): Promise<void> {
    const lines = Object.entries(secrets).map(([name, value]) => {
      const quote = ["`", '"', "'"].find((candidate) => !value.includes(candidate));
      if (quote === undefined) throw new Error(`${name} holds every kind of quote`);
      return `${name}=${quote}${value}${quote}\n`;
    });
    await writeFile(join(this.directory, "etc", "apps", `${app}.env`), lines.join(""), { mode: 0o600 });
  }

  /** What `cutover status --json` shows, without the start of a program: tests ask for it all the time. */
  async appView(app = "shop"): Promise<AppView> {
    return appView.parse(await call(this, "GET", pathOf(calls.app, { app })));
  }

  async #checked(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.cutover(...args);
    if (code !== 0) throw new Error(`cutover ${args.join(" ")} ended with exit code ${code}:\n${stderr}${stdout}`);
    return stdout;
  }
}

/** A copy of the built agent that calls itself another version. @returns its program */
async function otherVersion(version: string, directory: string): Promise<string> {
  await cp(dirname(agentProgram), directory, { recursive: true });
  for (const name of (await readdir(directory)).filter((file) => file.endsWith(".mjs"))) {
    const text = await readFile(join(directory, name), "utf8");
    await writeFile(join(directory, name), text.replace(/^\tversion: "[\d.]+"/m, `\tversion: "${version}"`));
  }
  return join(directory, basename(agentProgram));
}
