import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { childrenOf } from "../../agent/host/exec/processes.ts";
import { EventFilesOnDisk } from "../../agent/host/store/event-files.ts";
import { appLayout } from "../../agent/host/store/layout.ts";
import type { DeploymentEvent } from "../../shared/protocol.ts";
import { type ActionResult, runAction } from "../harness/action.ts";
import { type EmbeddedAgent, type Key, startAgent } from "../harness/agent.ts";
import { offlinePip } from "../harness/places.ts";
import { freePorts } from "../harness/ports.ts";
import { runProgram } from "../harness/run.ts";
import { Scratch } from "../harness/scratch.ts";
import { type Phase, phaseEnds, phasesFrom, reachedAt, type TimedLine } from "./timeline.ts";

/** One deploy as it was seen from outside; times in milliseconds since the epoch. */
export interface MeasuredDeploy {
  /** The Action's process was started. */
  begun: number;
  /** The host had the beginning of the bundle. */
  reachedHost: number;
  /** The last slot had moved. */
  cutOver: number;
  /** The Action had ended. */
  ended: number;
  phases: Phase[];
  /** Requests that were cut when the old instances stopped. */
  cut: number;
  result: ActionResult;
}

/** A host with one app, and the project that is deployed to it with the built Action. */
export class Site implements AsyncDisposable {
  readonly app: string;
  readonly agent: EmbeddedAgent;
  readonly project: Scratch;
  readonly url: string;
  readonly #key: Key;
  readonly #pip: Record<string, string>;
  readonly #through: string[];
  readonly #events: EventFilesOnDisk;

  private constructor(parts: {
    app: string;
    agent: EmbeddedAgent;
    project: Scratch;
    port: number;
    key: Key;
    pip: Record<string, string>;
    through: string[];
  }) {
    this.app = parts.app;
    this.agent = parts.agent;
    this.project = parts.project;
    this.url = `http://127.0.0.1:${parts.port}`;
    this.#key = parts.key;
    this.#pip = parts.pip;
    this.#through = parts.through;
    this.#events = new EventFilesOnDisk(join(parts.agent.directory, "data"));
  }

  /** @param how words before the agent's command line, and before the Action's */
  static async open(app: string, how: { before?: string[]; through?: string[] } = {}): Promise<Site> {
    await using stack = new AsyncDisposableStack();
    const project = stack.use(new Scratch("project"));
    const agent = stack.use(await startAgent({ name: "bench", before: how.before ?? [] }));
    const key = await agent.newKey();
    const [port = 0] = await freePorts(1);
    await agent.addApp({ app, key, ports: [port] });
    const pip = await offlinePip();
    stack.move();
    return new Site({ app, agent, project, port, key, pip, through: how.through ?? [] });
  }

  /** Where the launch files of the app's instances are. */
  async liveLaunchDirectory(): Promise<string> {
    const { live } = await this.agent.appView(this.app);
    return this.#layout.launchDir(live ?? "");
  }

  /** @throws Error with the Action's log when the deploy fails */
  async deploy(): Promise<MeasuredDeploy> {
    const known = new Set(this.#deployments());
    const log: TimedLine[] = [];
    const begun = Date.now();
    const result = await runAction({
      inputs: { hosts: this.agent.url, "signing-key": this.#key.privatePem },
      cwd: this.project.path,
      env: this.#pip,
      through: this.#through,
      onLine: (line) => log.push({ at: Date.now(), line }),
    });
    const ended = Date.now();
    if (result.exitCode !== 0) throw new Error(`a deploy failed:\n${result.stdout}`);
    const fresh = this.#deployments().filter((id) => !known.has(id));
    const events = await Promise.all(fresh.map((id) => this.#eventsOf(id)));
    const stage = events.find((each) => reachedAt(each, "verified") !== undefined) ?? [];
    const activate = events.find((each) => reachedAt(each, "cut_over") !== undefined) ?? [];
    return {
      ...times(begun, ended, stage, activate),
      phases: phasesFrom(begun, phaseEnds(log, stage, activate)),
      result,
    };
  }

  async #eventsOf(deployment: string): Promise<DeploymentEvent[]> {
    const events: DeploymentEvent[] = [];
    for await (const event of this.#events.read(this.app, deployment)) events.push(event);
    return events;
  }

  /** One step of a workflow. @throws Error with its log when it fails */
  async act(inputs: Record<string, string>): Promise<ActionResult> {
    const result = await runAction({
      inputs: { hosts: this.agent.url, "signing-key": this.#key.privatePem, ...inputs },
      cwd: this.project.path,
      env: this.#pip,
    });
    if (result.exitCode !== 0) throw new Error(`a step failed:\n${result.stdout}`);
    return result;
  }

  /** In bytes: with the agent's default `keep`, five releases after as many deploys. */
  async diskOfReleases(): Promise<{ releases: number; bytes: number }> {
    const { objects, releases } = this.#layout;
    const { stdout } = await runProgram(["du", "-skc", objects, releases]);
    return { releases: namesIn(releases).length, bytes: Number(/(\d+)\ttotal/.exec(stdout)?.[1]) * 1024 };
  }

  /** Others after each reload. */
  async nginxWorkers(): Promise<number[]> {
    return (await childrenOf(await this.agent.nginxPid())).toSorted();
  }

  #deployments(): string[] {
    return namesIn(this.#layout.deployments).map((name) => name.replace(/\.ndjson$/, ""));
  }

  get #layout() {
    return appLayout(join(this.agent.directory, "data"), this.app);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await this.project[Symbol.asyncDispose]();
  }
}

function times(begun: number, ended: number, stage: DeploymentEvent[], activate: DeploymentEvent[]) {
  const verified = stage.find((event) => event.type === "state" && event.state === "verified");
  const cutOver = reachedAt(activate, "cut_over");
  const end = activate.at(-1);
  if (verified?.type !== "state" || cutOver === undefined) throw new Error("a deploy left no events of its own");
  const cut = end?.type === "end" ? (end.deployment.cut ?? 0) : 0;
  return { begun, ended, cutOver, reachedHost: Date.parse(verified.at) - verified.took, cut };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Sets keys of a project's cutover.yml. */
export function configure(project: string, keys: Record<string, unknown>): void {
  const file = join(project, "cutover.yml");
  writeFileSync(file, stringify({ ...(parse(readFileSync(file, "utf8")) as object), ...keys }));
}
