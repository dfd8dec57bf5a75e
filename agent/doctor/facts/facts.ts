import type { Config } from "../../../shared/config.ts";
import type { VerifyView } from "../../../shared/protocol.ts";
import type { ProgramState } from "../../contracts/privileged.ts";
import type { EnvironmentInterpreter } from "../../host/python/environment-interpreter.ts";
import type { AgentSettings, AppSettings } from "../../settings.ts";
import type { Directive } from "../nginx-config.ts";
import type { Entry, Identity } from "../permissions.ts";
import type { Ini } from "../supervisor-conf.ts";
import type { LastWords } from "./last-words.ts";

/** All that the checks know about a host. It is plain data, so that a check is a pure function. */
export interface HostFacts {
  /** Milliseconds since the epoch. */
  now: number;
  /** The version of this program. */
  version: string;
  /** Whether somebody asks before an upgrade of the distribution. */
  upgrade: boolean;
  settings: AgentSettings;
  agent: AgentFacts;
  apps: AppFacts[];
  /** undefined if the agent has no helper. */
  helper: HelperFacts | undefined;
  /** The units of an installation, as systemd has them. */
  units: UnitFacts[];
  /** Files of secrets in apps/ that belong to no app. */
  strayEnvFiles: string[];
  nginx: NginxFacts;
  /** The id of the group that agent.yml names for nginx. An agent without root cannot give files to a group. */
  ownGroup: number | "none" | "not root";
  supervisor: SupervisorFacts;
  certificates: CertificateFacts[];
  webhookFiles: WebhookFileFacts[];
  /** Directories that the settings name and nginx needs. */
  directories: { named: string; path: string; purpose: string; entry: Entry | undefined }[];
  pythons: PythonFacts[];
  /** Why a connection from this host to itself at 127.0.0.1 is not made; undefined if it is. */
  loopback: string | undefined;
  /** The ports that the kernel gives to outgoing connections. */
  ephemeral: { first: number; last: number } | undefined;
  /** How many the host has. */
  processors: number;
  /** undefined if the file system of the data directory does not report it. */
  disk: { path: string; free: number; inodes: number; mount?: MountFacts | undefined } | undefined;
}

/**
 * How the agent answers on its socket, or the reason why it does not. `verified`: if it was to hash the files of releases again.
 * `edited`: agent.yml was changed since it started. `last`: why its service has stopped, in its own words, which are text for a person and nothing else.
 */
export type AgentFacts = { socket: string } & (
  | { version: string; verified?: VerifyView[]; edited?: boolean }
  | { failure: string; last?: LastWords | undefined }
);

export interface HelperFacts {
  path: string;
  /** The agent's user; undefined if the host does not have it. */
  user: Identity | undefined;
  socket: Entry | undefined;
  /** Each directory on the way to the socket. */
  way: Entry[];
  /** Whether the host has setfacl. */
  setfacl: boolean;
  /** The settings files that exist, with their directories. */
  settings: Entry[];
  /** The directories that exist in which the agent may create entries. */
  directories: Entry[];
}

export interface UnitFacts {
  name: string;
  /** Directories that it may write to, without systemd's prefixes. */
  writable: string[];
  /** It has a /tmp and a /var/tmp of its own. */
  privateTmp: boolean;
  seesHome: boolean;
}

export interface AppFacts {
  app: string;
  file: string;
  /** undefined if the file has faults. */
  settings: AppSettings | undefined;
  /** One line for each fault, with file, line and column. */
  faults: string[];
  /** undefined if its settings name no user, or one that the host does not have. */
  user: Identity | undefined;
  /** The user's primary group, and the other users who have it. */
  group: { name: string; members: string[] } | undefined;
  /** Its file of secrets. `faults` contain no values. */
  env: {
    path: string;
    named: boolean;
    entry: Entry | undefined;
    /** Whether nobody but root can put another file there. */
    rootsAlone: boolean;
    faults: { line: number; message: string }[];
  };
  /** The configuration of the live release. */
  live: Config | undefined;
  /** The id of the live release. */
  release: string | undefined;
  /** What the environment of the live release runs on; undefined if it has none. */
  environment: EnvironmentInterpreter | undefined;
  /** Where processes of its user listen to the network, such as `0.0.0.0:9000`. */
  outside: string[];
  /** The last order of its certificate, if that failed. The reason is partly the authority's text. */
  order: { failures: number; reason: string } | undefined;
  home: string;
  /** To its directory, its published files, and the sockets of its runs. */
  ways: Way[];
}

/** Each directory from the root to a path, and the path itself, up to the first that does not exist. */
export interface Way {
  to: string;
  entries: Entry[];
}

export interface NginxFacts {
  /** The result of `nginx -t`; undefined if the binary cannot be started. */
  test: { ok: boolean; output: string } | undefined;
  /** The whole configuration with its includes; empty if nginx refuses it. */
  configuration: Directive[];
  /** The path of the main configuration, if known. */
  main: string | undefined;
  /** The output of `nginx -V`. */
  built: string;
  pidFile: string | undefined;
  master: { pid: number; openFiles: number | undefined } | undefined;
  /** The user of its workers, or the one that they would have. */
  worker: Identity | undefined;
  /** The files in conf_dir; undefined if there is no such directory. */
  files: string[] | undefined;
}

export interface SupervisorFacts {
  /** `stale`: the socket exists, but nothing listens on it. `password`: it wants one. */
  socket: "answers" | "absent" | "stale" | "denied" | "password" | "broken";
  /** The supervisord that answers. */
  daemon:
    | { pid: number; openFiles: number | undefined; processes: number | undefined; umask: number | undefined }
    | undefined;
  /** All supervisords that run on this host. A socket that is the one of agent.yml by another path has that one's spelling. */
  daemons: { pid: number; conf: string | undefined; socket: string | undefined; includes: boolean }[];
  /** Its configuration, if it was found and can be read. */
  conf: { path: string; ini: Ini } | undefined;
  files: string[] | undefined;
  /** All programs of the supervisord that answers, whoever wrote them. */
  programs: {
    group: string;
    name: string;
    state: ProgramState;
    detail: string;
    /** For how long it runs already, in milliseconds, if it still has less of the processor than supervisord. */
    quietMs?: number;
  }[];
}

export interface CertificateFacts {
  /** The place that names it: `tls in agent.yml`. */
  named: string;
  certificate: string;
  key: string | undefined;
  /** Why it cannot be used. */
  problem: string | undefined;
  /** Milliseconds since the epoch. */
  expires: number | undefined;
  keyEntry: Entry | undefined;
  /** Names of sites that have it for all their names, and that it is not for. */
  missing?: string[];
}

export interface WebhookFileFacts {
  /** The place that names it: `webhooks[0].url_file in agent.yml`. */
  named: string;
  path: string;
  /** Why it cannot be used. The facts never have its content. */
  problem: string | undefined;
  entry: Entry | undefined;
}

/** The mount that a path is on. */
export interface MountFacts {
  at: string;
  /** Such as `rw`, `noexec`. */
  options: string[];
}

/** What the host has for a Python version that an app asks for. Without a version: the host's python3. */
export interface PythonFacts {
  version: string | undefined;
  apps: string[];
  found: { path: string; version: string; pip: [number, number] | undefined } | undefined;
}
