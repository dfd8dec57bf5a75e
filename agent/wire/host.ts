import { dirname, join, resolve } from "node:path";
import { startEmbedded } from "../host/embedded/embedded.ts";
import { readAgentSettings } from "../host/store/apps-dir.ts";
import type { AgentSettings } from "../settings.ts";

export interface HostOptions {
  /** agent.yml. */
  config: string;
  /** The directory of an embedded agent, which runs an nginx and a supervisord of its own. */
  embedded?: string;
  /** Where an embedded agent listens; read at its first start. */
  listen?: string;
}

/** The settings of this host, and where they are. `stop` ends an embedded agent's nginx and supervisord, and nothing else. */
export interface Host {
  settings: AgentSettings;
  appsDir: string;
  embedded: boolean;
  stop(): Promise<void>;
}

export async function openHost({ config, embedded, listen }: HostOptions): Promise<Host> {
  if (embedded !== undefined) {
    const host = await startEmbedded(resolve(embedded), listen === undefined ? {} : { listen });
    return { ...host, embedded: true };
  }
  const settings = await readAgentSettings(config);
  return { settings, appsDir: join(dirname(resolve(config)), "apps"), embedded: false, stop: async () => {} };
}
