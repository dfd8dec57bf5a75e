import type { Config } from "../../shared/config.ts";
import type { Protocol } from "../../shared/config-server.ts";
import type { CommandEnvironment } from "./service.ts";

/** Gets each line of output, without its newline. `source` names what printed it. The line is untrusted text. */
export type OutputListener = (source: string, line: string) => void;

/** One instance of a run; the instances share the 60 slots. */
export interface Instance {
  /** `web-0`, `web-1`, ... */
  name: string;
  /** Where it listens, in nginx's notation: `unix:/path`, or `127.0.0.1:8001`. */
  address: string;
  protocol: Protocol;
}

/** A set of instances of one release. `run` is the release id; a redeploy of it gets `.2`, `.3` and so on. */
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

/** One program, as supervisor reports it. */
export interface ProgramStatus {
  /** The instance's name, such as `web-0`. */
  name: string;
  state: ProgramState;
  /** 0 if it has no process. */
  pid: number;
  /** How long it has been up, in milliseconds; 0 if it is not up. */
  uptime: number;
  /** supervisor's reason why it is not up; empty otherwise. */
  detail: string;
}

export interface ProcessProgram extends ProgramStatus {
  /** Whether a signal ended it last time, for example a kill. */
  signalled: boolean;
}

/** One process of a run (`processes:` in cutover.yml), as it is on the host. */
export interface ProcessGroup {
  run: string;
  process: string;
  /** The time between the stop signal and the kill, in milliseconds. */
  stopMs: number;
  /** Empty if supervisor does not know the process. */
  programs: ProcessProgram[];
}

/**
 * The border between the side that faces the network and the side that may act on the host. In embedded mode both sides are
 * one process. Otherwise each method is one typed request to the helper, which reads the settings itself and renders every
 * file itself. With a helper each method may also throw CutoverError helper_unreachable or helper_refused.
 */
export interface Privileged {
  /** Makes the app's directories, with owners and modes. Idempotent. @throws CutoverError socket_path_too_long, host_settings_invalid */
  prepareApp(app: string): Promise<void>;
  /**
   * The instances of a run, and where they listen. A run with `bind: port` has its ports from the start of its programs to
   * their removal; before and after that it has no instances. Changes nothing: whoever only looks chooses no ports.
   */
  instances(spec: RunSpec): Promise<Instance[]>;
  /**
   * The addresses of a run on ports on which a process of the app's user listens.
   * @throws CutoverError port_taken if a process of another user listens on one of the run's ports
   */
  listening(spec: RunSpec): Promise<string[]>;
  /** Where else the processes of a run's web instances listen by TCP, such as `0.0.0.0:5057`: for the reason of a failure. */
  strayListeners(spec: RunSpec): Promise<string[]>;
  /**
   * Runs a command of the repository in the release, as the app's user, with the release's environment. Values of the app's
   * secrets are masked in its output.
   * @returns the exit code
   * @throws CutoverError aborted, timed_out
   */
  runCommand(spec: RunSpec, command: CommandRequest): Promise<number>;
  /** The same texts with the values of the app's secrets masked: for what the app printed. */
  maskSecrets(app: string, texts: string[]): Promise<string[]>;
  /** What it takes to run a command of the run by hand. The environment holds the app's secrets. */
  commandEnvironment(spec: RunSpec): Promise<CommandEnvironment>;
  /** Lets the app's user and nginx read the release; neither can write to it. Before it is built or started. Idempotent. */
  shareRelease(app: string, release: string): Promise<void>;
  /**
   * Chooses the run's ports, writes its launch files and programs, and starts them. Does not wait until they are up.
   * Idempotent.
   * @throws CutoverError supervisor_unreachable, supervisor_config_broken, ports_not_allowed, ports_exhausted
   */
  startPrograms(spec: RunSpec): Promise<void>;
  /** The run's web instances; undefined if supervisor does not know the run. @throws CutoverError supervisor_unreachable */
  programs(app: string, run: string): Promise<ProgramStatus[] | undefined>;
  /**
   * Starts again those programs of a run, web instances and processes, that supervisord gave up on, and those for whose next
   * try it would wait long.
   * @param stopped also those that somebody has stopped
   * @returns all of them, as they were before; undefined if supervisor does not know the run
   * @throws CutoverError supervisor_unreachable
   */
  revivePrograms(app: string, run: string, stopped: boolean): Promise<ProgramStatus[] | undefined>;
  /**
   * Gives the web instances of a run the full share of the processor, less of which they have while they boot. Idempotent, and
   * nothing happens for instances that do not run.
   * @throws CutoverError supervisor_unreachable
   */
  fullShare(app: string, run: string): Promise<void>;
  /**
   * Writes the launch files and programs of one process of a run, and starts those that do not run. Idempotent.
   * @throws CutoverError supervisor_unreachable, supervisor_config_broken
   */
  startProcess(spec: RunSpec, process: string): Promise<void>;
  /**
   * The processes of all runs that have a file on this host, also of runs that no state knows. supervisor is asked only if
   * there are any.
   * @throws CutoverError supervisor_unreachable
   */
  processes(app: string): Promise<ProcessGroup[]>;
  /** Sends the stop signal to the programs of a process, and does not wait. Idempotent: the signal is sent once. */
  stopProcess(app: string, run: string, process: string): Promise<void>;
  /** Stops the programs of a process, waits for their end, and removes all that belongs to them. Idempotent. */
  removeProcess(app: string, run: string, process: string): Promise<void>;
  /** The same for a whole run: its instances and processes, with their sockets, ports and launch files. Idempotent. */
  removePrograms(app: string, run: string): Promise<void>;
  /** All runs that have anything on this host, also ones that no state knows. Sorted. */
  runs(app: string): Promise<string[]>;
  /**
   * Checks that the host has what a site needs, before anything of its release is unpacked.
   * @throws CutoverError listen_not_allowed, domain_not_allowed, peer_not_allowed, certificate_missing, config_invalid,
   * nginx_unreachable, address_in_use, domain_taken
   */
  checkSite(app: string, config: Config): Promise<void>;
  /**
   * Writes the app's nginx files if their text changes, tests them, and reloads nginx. If nginx refuses them, the old files
   * come back. A site that is there keeps its names if the host's file now gives it one that another app has.
   * @returns whether anything changed
   * @throws CutoverError nginx_config_broken, nginx_unreachable; domain_taken for the app's first site
   */
  writeSite(app: string, site: SiteRequest): Promise<{ changed: boolean }>;
  /**
   * Makes nginx begin another file of the lines of an app's requests, if the present one is large or was taken away. What was
   * rotated before is removed then. Idempotent.
   * @throws CutoverError nginx_unreachable
   */
  rotateRequests(app: string): Promise<void>;
  /**
   * Makes a key for the site, which stays there, and a request for a certificate that it signs (PKCS #10, PEM).
   * @throws CutoverError domain_not_allowed; host_settings_invalid without `tls: auto`
   */
  certificateRequest(app: string, names: string[]): Promise<string>;
  /**
   * Takes the chain (PEM) for the key of the last request. The site has it after the next `writeSite`. Idempotent.
   * @throws CutoverError certificate_failed if it cannot be used, host_settings_invalid without `tls: auto`
   */
  installCertificate(app: string, chain: string): Promise<void>;
  /** The chain (PEM) that came last; undefined if none has come. */
  certificate(app: string): Promise<string | undefined>;
  /** By the upstreams' file. */
  upstreamServers(app: string): Promise<UpstreamServers>;
  /** Whether nginx workers from before the last reload still serve. They may open connections to an instance without slots. */
  oldWorkers(): Promise<boolean>;
  /**
   * Removes the app's site, its runs and its directories. Idempotent. The site goes first: while nginx sends visitors to the
   * app, no instance is stopped, and no port becomes free for another app.
   * @param data also what its releases share, such as uploads; otherwise that stays unless there is nothing
   * @throws CutoverError nginx_config_broken, nginx_unreachable: then nothing was removed
   */
  removeApp(app: string, data?: boolean): Promise<void>;
}

/** The servers of the 60 slots of each upstream, in nginx's notation, in no certain order; empty if there is no such upstream. */
export interface UpstreamServers {
  main: string[];
  preview: string[];
  /** A write was interrupted, so nginx may have other servers than these. */
  unread: boolean;
  /** Those of both upstreams that it certainly had before that; none unless `unread`, or from a helper of an older version. */
  before?: string[] | undefined;
}

export interface CommandRequest {
  /** The program and its arguments; `{shared}` stands for the app's shared directory. No shell reads them. */
  argv: string[];
  timeoutMs: number;
  onOutput: OutputListener;
  /** The source of its output lines. */
  source: string;
  signal: AbortSignal;
}

/** What an app's nginx files are made of. */
export interface SiteRequest {
  /** null before a first release has traffic. */
  main: SitePart | null;
  /** null if no preview is configured. */
  preview: SitePart | null;
  /**
   * If the app may not have the names that it asks for, the site keeps those that it has, instead of a failure; and it does
   * without addresses, peers and certificates that the host's file forbids by now.
   */
  keepNames?: boolean | undefined;
}

/** One upstream and its server block. */
export interface SitePart {
  config: Config;
  /** One for each of the 60 slots: its port, or null if its link leads to a socket. */
  slots: (number | null)[];
}
