import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { parse, stringify } from "yaml";
import type { z } from "zod";
import { embeddedLayout } from "../../agent/host/embedded/files.ts";
import type { agentSettingsSchema } from "../../agent/settings.ts";
import { copyShop, quickShop, type ShopOptions } from "../fixtures/shop.ts";
import { type ActionResult, type ActionRun, type RunningAction, startAction } from "../harness/action.ts";
import { EmbeddedAgent, type Key } from "../harness/agent.ts";
import { freePorts } from "../harness/ports.ts";
import { SmallDisk, type SmallDiskSize } from "./bad-disk.ts";
import { snapshotHost, versionSeen } from "./host-snapshot.ts";

export interface BadHostOptions {
  /** Part of the temporary directory's name. */
  name: string;
  /** Keys of agent.yml in place of those that embedded mode writes. */
  settings?: z.input<typeof agentSettingsSchema>;
  /** A disk of its own for the agent's data, of so many bytes and so many files. */
  disk?: SmallDiskSize;
}

type Inputs = Partial<Pick<ActionRun, "inputs" | "env" | "onLine">>;

/** Nothing stays warm: it would change by itself later. */
const quick: NonNullable<ShopOptions["config"]> = { ...quickShop, keep_warm: "0s" };

/** A host on which v1 of the shop is live, for deployments that must not change that. */
export class BadHost implements AsyncDisposable {
  readonly agent: EmbeddedAgent;
  readonly key: Key;
  /** The port that the app may listen on. */
  readonly port: number;
  readonly #disk: SmallDisk | undefined;
  #projects = 0;

  private constructor(agent: EmbeddedAgent, key: Key, port: number, disk: SmallDisk | undefined) {
    this.agent = agent;
    this.key = key;
    this.port = port;
    this.#disk = disk;
  }

  static async start({ name, settings, disk: size }: BadHostOptions): Promise<BadHost> {
    const [agentPort = 0, port = 0] = await freePorts(2);
    const agent = new EmbeddedAgent(agentPort, { name });
    let disk: SmallDisk | undefined;
    try {
      if (size !== undefined) disk = SmallDisk.mount(embeddedLayout(agent.directory).data, size);
      await agent.start();
      if (settings !== undefined) await changeSettings(agent, settings);
      const key = await agent.newKey();
      await agent.addApp({ key, ports: [port] });
      const host = new BadHost(agent, key, port, disk);
      const { exitCode, stdout } = await host.run(await host.project());
      if (exitCode !== 0) throw new Error(`v1 could not be deployed:\n${stdout}`);
      return host;
    } catch (error) {
      await tearDown(agent, disk);
      throw error;
    }
  }

  /** Where visitors find the shop. */
  get site(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The host's name in a token, in `result` and in annotations. */
  get name(): string {
    return new URL(this.agent.url).host;
  }

  /** A working copy of the shop, v1 unless asked otherwise. */
  async project({ config, ...options }: ShopOptions = {}): Promise<string> {
    this.#projects++;
    const directory = join(this.agent.scratch.path, `project-${this.#projects}`);
    await copyShop(directory, { ...options, config: { ...quick, ...config } });
    return directory;
  }

  /** The Action on its way, with this host and its key unless the inputs say otherwise. */
  begin(cwd: string, { inputs, env, onLine }: Inputs = {}): RunningAction {
    return startAction({
      inputs: { hosts: this.agent.url, "signing-key": this.key.privatePem, ...inputs },
      cwd,
      // A commit of its own, so that two deploys within a second have different release ids.
      env: { GITHUB_SHA: randomBytes(20).toString("hex"), ...env },
      ...(onLine !== undefined && { onLine }),
    });
  }

  run(cwd: string, inputs: Inputs = {}): Promise<ActionResult> {
    return this.begin(cwd, inputs).result;
  }

  async changeSettings(settings: z.input<typeof agentSettingsSchema>): Promise<void> {
    await changeSettings(this.agent, settings);
    while (!(await versionSeen(this.site)).startsWith("200 ")) await sleep(50);
  }

  /** Does the work and sees that the host is afterwards as before, and that every visitor meanwhile got the old release. */
  async unchangedBy<T>(work: () => Promise<T>): Promise<T> {
    const before = await snapshotHost(this.agent, this.site);
    const watch = watchSite(this.site);
    let result: T;
    try {
      result = await work();
    } finally {
      await watch.stop();
    }
    expect(watch.seen()).toEqual([before.visitorsSee]);
    expect(await snapshotHost(this.agent, this.site)).toEqual(before);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tearDown(this.agent, this.#disk);
  }
}

/** The directory can be removed only when nothing is mounted in it. */
async function tearDown(agent: EmbeddedAgent, disk: SmallDisk | undefined): Promise<void> {
  if (disk !== undefined) {
    await Promise.race([agent.end(), sleep(15_000, undefined, { ref: false })]);
    disk[Symbol.dispose]();
  }
  await agent[Symbol.asyncDispose]();
}

/** The agent reads agent.yml when it starts; its nginx and supervisord start anew with it. */
async function changeSettings(agent: EmbeddedAgent, settings: z.input<typeof agentSettingsSchema>): Promise<void> {
  await agent.end();
  const file = embeddedLayout(agent.directory).agentSettings;
  await writeFile(file, stringify({ ...parse(await readFile(file, "utf8")), ...settings }));
  await agent.start();
}

/** @throws Error if the file has no process id */
export async function pidIn(file: string): Promise<number> {
  const pid = Number(await readFile(file, "utf8"));
  // A signal to 0 would go to the processes of the tests themselves.
  if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${file} has no process id`);
  return pid;
}

/** A visitor who comes back all the time. `seen` has each different answer once, also failures. */
export function watchSite(site: string): { seen(): string[]; stop(): Promise<void> } {
  const seen = new Set<string>();
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      seen.add(await versionSeen(site).catch((error: unknown) => `failed: ${String(error)}`));
      await sleep(50);
    }
  })();
  return {
    seen: () => [...seen],
    stop: async () => {
      stopped = true;
      await watching;
    },
  };
}

/** Tells when a line of a job's log holds the text. */
export function lineSeen(text: string): { onLine: (line: string) => void; seen: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { onLine: (line) => line.includes(text) && resolve(), seen: promise };
}
