import { realpath } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { systemClock } from "../clock.ts";
import { childrenOf, commandLine, processRuns, readPidFile } from "../exec/processes.ts";
import { runTool, type ToolResult } from "../exec/run-tool.ts";
import { asHost } from "../exec/systemd-step.ts";
import { type NginxFeatures, parseFeatures } from "./features.ts";
import { ErrorLog, refusedConfig, unreachable } from "./refusal.ts";

export interface NginxOptions {
  binary: string;
  /** The directory of site files. The main configuration includes it. */
  confDir: string;
  /** The main configuration; the binary's default unless given. */
  conf?: string | undefined;
  /** nginx's prefix; the binary's default unless given. */
  prefix?: string | undefined;
  /** The limit for a reload in milliseconds; 20,000 unless given. */
  timeoutMs?: number;
  clock?: Clock;
}

export interface ReloadOptions {
  /** Paths that the configuration must include. */
  needed?: string[];
  /** The paths of the app's own files, for the text of an error. */
  own?: string[];
  /** Called just before nginx gets the signal: from then on it may serve what its files say, even if this fails. */
  onSignal?(): void;
}

/** The nginx that runs on the host: tests and reloads its configuration, and looks at its workers. */
export class NginxMaster {
  readonly #options: NginxOptions;
  readonly #clock: Clock;
  /** The path of nginx's pid file, when it is known. */
  #pidPath: string | undefined;

  constructor(options: NginxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Whether workers from before the last reload still finish their requests. Called many times during a drain, and also if
   * another site's file has become wrong since. So the configuration is read only to find the master.
   */
  async oldWorkers(): Promise<boolean> {
    const master = await readPidFile(this.#pidPath ?? (await this.#findPidFile()));
    if (master === undefined || !(await processRuns(master))) return false;
    const [all, serving] = [await workers(master, false), await workers(master, true)];
    return all.length > serving.length;
  }

  /** @throws CutoverError nginx_unreachable if it does not run, as far as its configuration says */
  async assertRuns(): Promise<void> {
    if (this.#pidPath !== undefined && (await masterRuns(this.#pidPath))) return;
    // The configuration may name another pid file by now.
    this.#pidPath = undefined;
    const file = await this.#findPidFile();
    // A configuration that nginx refuses does not name the pid file. The running nginx may be fine.
    if (this.#pidPath === undefined || (await masterRuns(file))) return;
    throw unreachable(`nginx is not running (pid file ${file}).`);
  }

  /** Not remembered, because nginx may be replaced while the agent runs. @throws CutoverError nginx_unreachable */
  async features(): Promise<NginxFeatures> {
    const { stderr } = await this.#run("-V");
    return parseFeatures(stderr);
  }

  /**
   * Tests the configuration, makes nginx read it, and returns when only new workers serve new connections.
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  async reload({ needed = [], own = [], onSignal }: ReloadOptions = {}): Promise<void> {
    const configuration = await this.test(own);
    const unread = await notRead(configuration, needed);
    if (unread !== undefined) {
      throw new CutoverError("nginx_config_broken", `nginx does not read ${unread}.`, {
        unchanged: "nginx keeps its present configuration.",
        fix: `Put \`include ${this.#options.confDir}/*.conf;\` into the http block of nginx's main configuration, or set nginx.conf_dir in agent.yml to a directory that is included.`,
      });
    }
    const master = await this.#master(configuration);
    const before = new Set(await workers(master, false));
    const log = await ErrorLog.at(master);
    onSignal?.();
    await effect("nginx.reload", async () => this.#signal(master));
    const deadline = this.#clock.elapsed() + (this.#options.timeoutMs ?? 20_000);
    // Every new connection gets the new configuration only when new workers run, and each old one is gone or accepts no
    // more connections.
    for (;;) {
      // Before the look: a reload that came in time is not late because the look took long.
      const late = this.#clock.elapsed() > deadline;
      const serving = await workers(master, true);
      if (serving.length > 0 && serving.every((pid) => !before.has(pid))) return;
      const complaint = await log?.complaint();
      if (complaint !== undefined) throw refusedConfig(complaint, own);
      if (!(await processRuns(master))) throw unreachable("nginx ended while it was reloading.");
      if (late) throw unreachable("nginx did not start new workers after a reload.");
      await this.#clock.sleep(10);
    }
  }

  /** Tests the configuration. @returns its whole text @throws CutoverError nginx_config_broken, nginx_unreachable */
  async test(own: string[] = []): Promise<string> {
    const { code, stdout, stderr } = await this.#run("-T");
    if (code !== 0) throw refusedConfig(stderr, own);
    return stdout;
  }

  async #run(option: string): Promise<ToolResult> {
    const { binary, conf, prefix } = this.#options;
    const places = [...(prefix === undefined ? [] : ["-p", prefix]), ...(conf === undefined ? [] : ["-c", conf])];
    try {
      // A test resolves names, binds and opens logs: it needs more of the host than a helper's unit may use.
      const [program = "", ...words] = asHost([binary, option, "-q", ...places], process.env);
      return await runTool(program, words);
    } catch (cause) {
      throw new CutoverError("nginx_unreachable", `nginx could not be started as \`${binary}\`.`, {
        unchanged: "The site was not changed.",
        fix: "Install nginx (`apt-get install nginx`), or set nginx.binary in agent.yml to its path.",
        cause,
      });
    }
  }

  async #master(configuration: string): Promise<number> {
    const file = await this.#pidFile(configuration);
    this.#pidPath = file;
    const pid = await readPidFile(file);
    if (pid === undefined || !(await processRuns(pid))) throw unreachable(`nginx is not running (pid file ${file}).`);
    return pid;
  }

  async #findPidFile(): Promise<string> {
    const { code, stdout } = await this.#run("-T");
    const file = await this.#pidFile(stdout);
    if (code === 0) this.#pidPath = file;
    return file;
  }

  async #pidFile(configuration: string): Promise<string> {
    const named = /^[ \t]*pid[ \t]+"?([^";\n]+)"?[ \t]*;/m.exec(configuration)?.[1];
    if (named !== undefined && isAbsolute(named)) return named;
    const { stderr: built } = await this.#run("-V");
    const prefix = this.#options.prefix ?? /--prefix=(\S+)/.exec(built)?.[1] ?? "/usr/local/nginx";
    return join(prefix, named ?? /--pid-path=(\S+)/.exec(built)?.[1] ?? "logs/nginx.pid");
  }

  #signal(master: number): void {
    try {
      process.kill(master, "SIGHUP");
    } catch (cause) {
      throw unreachable("nginx could not be told to reload.", cause);
    }
  }
}

async function masterRuns(pidFile: string): Promise<boolean> {
  const pid = await readPidFile(pidFile);
  return pid !== undefined && (await processRuns(pid));
}

/** The first of these files that the configuration does not include. Links on the way to a file do not matter. */
async function notRead(configuration: string, needed: string[]): Promise<string | undefined> {
  const named = [...configuration.matchAll(/^# configuration file (.+):$/gm)].map(([, path = ""]) => path);
  const read = new Set(await Promise.all(named.map((path) => realpath(path).catch(() => path))));
  for (const path of needed) if (!read.has(await realpath(path))) return path;
  return undefined;
}

/** The worker processes of a master: all, or only those that still accept connections. */
async function workers(master: number, serving: boolean): Promise<number[]> {
  const pids = await childrenOf(master);
  const titles = await Promise.all(pids.map(commandLine));
  return pids.filter((_, index) => {
    const title = titles[index] ?? "";
    return title.startsWith("nginx: worker process") && !(serving && title.endsWith("is shutting down"));
  });
}
