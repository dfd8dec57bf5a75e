import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseYamlFile } from "../../../shared/yaml-file.ts";
import { type AgentSettings, agentSettingsSchema } from "../../settings.ts";

/** The options that every command takes, before or after its name. */
export interface GlobalOptions {
  socket?: string;
  config?: string;
  embedded?: string;
  json?: boolean;
}

/** The paths of the host's files and of the agent's admin socket. */
export class Places {
  readonly #options: GlobalOptions;
  readonly #embedded: string | undefined;

  constructor(options: GlobalOptions, env: NodeJS.ProcessEnv) {
    this.#options = options;
    this.#embedded = options.embedded ?? (env.CUTOVER_EMBEDDED || undefined);
  }

  /** Whether --embedded or its variable names the agent, and no other directory was given. */
  get isEmbedded(): boolean {
    return this.#embedded !== undefined && this.#options.config === undefined;
  }

  /** The directory of agent.yml and apps/. */
  get config(): string {
    const { config } = this.#options;
    // --config of cutover-agent is the file, so the file is accepted here too.
    if (config !== undefined) return resolve(config.endsWith("agent.yml") ? dirname(config) : config);
    return this.#embedded === undefined ? "/etc/cutover" : join(resolve(this.#embedded), "etc");
  }

  appFile(app: string): string {
    return join(this.config, "apps", `${app}.yml`);
  }

  envFile(app: string): string {
    return join(this.config, "apps", `${app}.env`);
  }

  /** What the releases of an app share. @throws CutoverError host_settings_invalid */
  async shared(app: string): Promise<string> {
    return join((await this.#settings()).data, "apps", app, "shared");
  }

  /** The path from --socket, or that of the embedded agent, or the one in agent.yml. @throws CutoverError host_settings_invalid */
  async socket(): Promise<string> {
    if (this.#options.socket !== undefined) return resolve(this.#options.socket);
    if (this.#embedded !== undefined) return join(resolve(this.#embedded), "agent.sock");
    return (await this.#settings()).socket;
  }

  /** An operator may use the socket without being allowed to read the settings; then these are the defaults. */
  async #settings(): Promise<AgentSettings> {
    const file = join(this.config, "agent.yml");
    const text = await readFile(file, "utf8").catch(() => "");
    const errors = { notYaml: "host_settings_invalid", invalid: "host_settings_invalid" } as const;
    return parseYamlFile(text, file, agentSettingsSchema, errors);
  }
}
