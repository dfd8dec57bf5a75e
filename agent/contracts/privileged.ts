import type { Config } from "../../shared/config.ts";
import type { Protocol } from "../../shared/config-server.ts";
import type { CommandEnvironment } from "./service.ts";

export type OutputListener = (source: string, line: string) => void;

/** One supervised process of a run. */
export interface Instance {
  /** `web-0`, `web-1`, ... */
  name: string;
  /** Where it listens, as nginx names it: `unix:` and the path that it binds, or `127.0.0.1:` and its port. */
  address: string;
  protocol: Protocol;
}

/** A set of instances of one release. `run` is the release id, with `.2` and so on for a redeploy. */
export interface RunSpec {
  app: string;
  run: string;
  release: string;
  config: Config;
}

/** The states that supervisor knows. A program never has another one. */
export const programStates = [
  "STOPPED",
  "STARTING",
  "RUNNING",
  /** It ended before supervisor took it for started, and waits for its next try. */
  "BACKOFF",
  "STOPPING",
  /** It ended by itself, after it had started. */
  "EXITED",
  /** It did not start in any of supervisor's tries. */
  "FATAL",
  /** supervisor made an error of its own. */
  "UNKNOWN",
] as const;
export type ProgramState = (typeof programStates)[number];
/** The states in which a program has no process and supervisor waits for none. It may still restart one that EXITED. */
export const endedStates: ReadonlySet<ProgramState> = new Set(["STOPPED", "EXITED", "FATAL", "UNKNOWN"]);

export interface ProgramStatus {
  /** The instance's name. */
  name: string;
  state: ProgramState;
  pid: number;
  /** How long it has been up, in milliseconds; 0 when it is not. */
  uptime: number;
  /** supervisor's description of why it is not running, empty otherwise. */
  detail: string;
}

export interface ProcessProgram extends ProgramStatus {
  /** How it ended last: by a signal, which may be a kill, and not by itself. */
  signalled: boolean;
}

/** What is on the host of one of a run's processes, those of `processes:` in cutover.yml. */
export interface ProcessGroup {
  run: string;
  process: string;
  /** How long its programs have between the stop signal and the kill, in milliseconds. */
  stopMs: number;
  /** Empty where supervisor does not know the group. */
  programs: ProcessProgram[];
}

/**
 * The border between what faces the network and what is allowed to act on the host. In embedded mode both sides are one
 * process; else each method is one typed request to the helper, which reads the host's files itself and renders every file
 * itself.
 */
export interface Privileged {
  /** Directories, owners and modes of an app. Idempotent. @throws CutoverError socket_path_too_long */
  prepareApp(app: string): Promise<void>;
  /**
   * The instances that a run has, and where they listen. The ports of a run are chosen when this is first asked, and kept
   * until its programs are removed.
   * @throws CutoverError ports_not_allowed, ports_exhausted
   */
  instances(spec: RunSpec): Promise<Instance[]>;
  /**
   * Runs a command of the repository in the release, as the app's user, with the release's environment.
   * @returns the exit code @throws CutoverError aborted, timed_out
   */
  runCommand(spec: RunSpec, command: CommandRequest): Promise<number>;
  /** Texts that the app printed, without the values of its secrets. Whoever may read them learns nothing but the texts. */
  maskSecrets(app: string, texts: string[]): Promise<string[]>;
  /** How a command of a run is started by hand: directory, environment with the app's secrets, user. */
  commandEnvironment(spec: RunSpec): Promise<CommandEnvironment>;
  /** After this the app's user can no longer write to the release. */
  sealRelease(app: string, release: string): Promise<void>;
  /** Writes launch files and programs of a run and starts them. Idempotent. @throws CutoverError supervisor_* */
  startPrograms(spec: RunSpec): Promise<void>;
  /** undefined where supervisor does not know the run. @throws CutoverError supervisor_unreachable */
  programs(app: string, run: string): Promise<ProgramStatus[] | undefined>;
  /** Writes launch files and programs of one of a run's processes and starts those that do not run. Idempotent. @throws CutoverError supervisor_* */
  startProcess(spec: RunSpec, process: string): Promise<void>;
  /**
   * The processes of all runs that have a file on this host, also of runs that no state knows. supervisor is asked only
   * where there are any. @throws CutoverError supervisor_unreachable
   */
  processes(app: string): Promise<ProcessGroup[]>;
  /** Sends the stop signal to the programs of a process and returns at once. Idempotent: it is sent once. */
  stopProcess(app: string, run: string, process: string): Promise<void>;
  /** Waits for the end of a process's programs, which it stops, and leaves nothing of them. Idempotent. */
  removeProcess(app: string, run: string, process: string): Promise<void>;
  /** Stops a run's programs, its processes too, and waits for their end, removes them from supervisor, with their sockets and launch files. Idempotent. */
  removePrograms(app: string, run: string): Promise<void>;
  /** Runs that have a program file or a run directory on this host, also ones that no state knows. */
  runs(app: string): Promise<string[]>;
  /**
   * Whether the host has what a site needs, before anything of its release is unpacked.
   * @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing, config_invalid,
   * nginx_unreachable
   */
  checkSite(app: string, config: Config): Promise<void>;
  /**
   * Writes the app's nginx files where their text changes, tests them, reloads; puts the old ones back when nginx refuses.
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }>;
  /** The 60 servers of each of the app's upstreams as nginx has them; empty where it has none. */
  upstreamServers(app: string): Promise<{ main: string[]; preview: string[] }>;
  /** Whether nginx workers from before the last reload still serve: those may open connections to what was moved away. */
  oldWorkers(): Promise<boolean>;
  /** Takes away the app's site and its directories. Idempotent. */
  removeApp(app: string): Promise<void>;
}

export interface CommandRequest {
  argv: string[];
  timeoutMs: number;
  onOutput: OutputListener;
  /** The name that output lines carry. */
  source: string;
  signal: AbortSignal;
}

/** What an app's nginx files are made of. `main` is null before a first release has traffic. */
export interface SiteRequest {
  main: SitePart | null;
  preview: SitePart | null;
}

/** One upstream and its server block. */
export interface SitePart {
  config: Config;
  /** The port of each slot, or null for a slot whose link leads to a socket. */
  slots: (number | null)[];
}
