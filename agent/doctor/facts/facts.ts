import type { Config } from "../../../shared/config.ts";
import type { AgentSettings, AppSettings } from "../../settings.ts";
import type { Directive } from "../nginx-config.ts";
import type { Entry, Identity } from "../permissions.ts";
import type { Ini } from "../supervisor-conf.ts";

/** All that the checks know of a host: data alone, so that a check is a function of it. */
export interface HostFacts {
  /** Milliseconds since the epoch. */
  now: number;
  /** The version of this program. */
  version: string;
  settings: AgentSettings;
  agent: AgentFacts;
  apps: AppFacts[];
  /** undefined on a host whose agent is one process. */
  helper: HelperFacts | undefined;
  /** Files of secrets beside the apps' settings that belong to no app. */
  strayEnvFiles: string[];
  nginx: NginxFacts;
  /** The number of the group that agent.yml names for nginx; an agent without root cannot give files to it. */
  ownGroup: number | "none" | "not root";
  supervisor: SupervisorFacts;
  certificates: CertificateFacts[];
  webhookFiles: WebhookFileFacts[];
  /** Those that the settings name and nginx needs. */
  directories: { named: string; path: string; purpose: string; entry: Entry | undefined }[];
  pythons: PythonFacts[];
  /** The ports that the kernel gives to outgoing connections. */
  ephemeral: { first: number; last: number } | undefined;
  /** undefined where the data directory is on no file system that tells. */
  disk: { path: string; free: number; inodes: number } | undefined;
}

/** How the agent answers on its socket, or the reason why it does not. */
export type AgentFacts = { socket: string } & ({ version: string } | { failure: string });

export interface HelperFacts {
  path: string;
  /** The agent's; undefined where the host does not have it. */
  user: Identity | undefined;
  socket: Entry | undefined;
  /** Those of the host's files that are there, with their directories. */
  settings: Entry[];
  /** Those in which the agent may make entries, as far as they are there. */
  directories: Entry[];
}

export interface AppFacts {
  app: string;
  file: string;
  /** undefined where the file has faults. */
  settings: AppSettings | undefined;
  /** One line a fault, with file, line and column. */
  faults: string[];
  /** undefined where its settings name no user, or one that the host does not have. */
  user: Identity | undefined;
  /** Its file of secrets. `faults` hold no value. */
  env: { path: string; named: boolean; entry: Entry | undefined; faults: { line: number; message: string }[] };
  /** Of the live release. */
  live: Config | undefined;
  /** Its directory, and the sockets of its runs. */
  home: string;
  ways: Way[];
}

/** Each directory from the root to a path, and the path itself; up to the first that is not there. */
export interface Way {
  to: string;
  entries: Entry[];
}

export interface NginxFacts {
  /** What `nginx -t` says; undefined where the binary cannot be started. */
  test: { ok: boolean; output: string } | undefined;
  /** The whole configuration, its includes opened; empty where nginx refuses it. */
  configuration: Directive[];
  /** The main configuration's path, where known. */
  main: string | undefined;
  /** What `nginx -V` says. */
  built: string;
  pidFile: string | undefined;
  master: { pid: number; openFiles: number | undefined } | undefined;
  /** As whom its workers run, or would. */
  worker: Identity | undefined;
  /** The files below conf_dir; undefined where there is no such directory. */
  files: string[] | undefined;
}

export interface SupervisorFacts {
  /** `stale`: the socket is there, and nobody listens on it. */
  socket: "answers" | "absent" | "stale" | "denied" | "broken";
  /** The one that answers. */
  daemon:
    | { pid: number; openFiles: number | undefined; processes: number | undefined; umask: number | undefined }
    | undefined;
  /** All that run on this host. */
  daemons: { pid: number; conf: string | undefined; socket: string | undefined; includes: boolean }[];
  /** Its configuration, where it was found and can be read. */
  conf: { path: string; ini: Ini } | undefined;
  files: string[] | undefined;
}

export interface CertificateFacts {
  /** Where it is named: `tls in agent.yml`. */
  named: string;
  certificate: string;
  key: string | undefined;
  /** Why it cannot be used. */
  problem: string | undefined;
  /** Milliseconds since the epoch. */
  expires: number | undefined;
  keyEntry: Entry | undefined;
}

export interface WebhookFileFacts {
  /** Where it is named: `webhooks[0].url_file in agent.yml`. */
  named: string;
  path: string;
  /** Why it cannot be used. What it holds is nowhere in the facts. */
  problem: string | undefined;
  entry: Entry | undefined;
}

/** What the host has for one version that something asks for; without one it is the host's python3. */
export interface PythonFacts {
  version: string | undefined;
  apps: string[];
  found: { path: string; version: string; pip: [number, number] | undefined } | undefined;
}
