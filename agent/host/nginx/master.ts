import { readFile, realpath } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import type { Clock } from "../../contracts/ports.ts";
import { effect } from "../../effects.ts";
import { systemClock } from "../clock.ts";
import { childrenOf, processRuns } from "../exec/processes.ts";
import { runTool, type ToolResult } from "../exec/run-tool.ts";
import { asHost } from "../exec/systemd-step.ts";
import { type NginxFeatures, parseFeatures } from "./features.ts";
import { type MasterPlace, masterAt, oldMasterAt, waitsForSignals, workersOf } from "./master-process.ts";
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
}

/** The nginx that runs on the host: tests and reloads its configuration, and looks at its workers. */
export class NginxMaster {
  readonly #options: NginxOptions;
  readonly #clock: Clock;
  /** Where the master is found, when a configuration that nginx accepts has said it. */
  #place: MasterPlace | undefined;

  constructor(options: NginxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether the master can be found without a test of the configuration. */
  get isFound(): boolean {
    return this.#place !== undefined;
  }

  /**
   * Whether workers from before the last reload still finish their requests, or those of an old binary still serve. Called
   * many times during a drain, and also if another site's file has become wrong since. So the configuration is read only to
   * find the master.
   */
  async oldWorkers(): Promise<boolean> {
    const place = this.#place ?? (await this.#findPlace());
    const [master, old] = [await masterAt(place), await oldMasterAt(place)];
    if (old !== undefined && (await workersOf([old], false)).length > 0) return true;
    if (master === undefined) return false;
    const [all, serving] = [await workersOf([master], false), await workersOf([master], true)];
    return all.length > serving.length;
  }

  /** Makes all masters open their logs again. None is no error. */
  async reopenLogs(): Promise<void> {
    const place = this.#place ?? (await this.#findPlace());
    for (const master of [await masterAt(place), await oldMasterAt(place)]) {
      if (master !== undefined) process.kill(master, "SIGUSR1");
    }
  }

  /** Whether it runs where it was found before. */
  async runs(): Promise<boolean> {
    return this.#place !== undefined && (await masterAt(this.#place)) !== undefined;
  }

  /** @throws CutoverError nginx_unreachable if it does not run, as far as its configuration says */
  async assertRuns(): Promise<void> {
    // The configuration may name another pid file by now.
    this.#place = undefined;
    const place = await this.#findPlace();
    // A configuration that nginx refuses does not say for certain where its master is. The running nginx may be fine.
    if (!this.isFound || (await this.#startingMaster(place)) !== undefined) return;
    throw notRunning(place);
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
  async reload({ needed = [], own = [] }: ReloadOptions = {}): Promise<void> {
    const configuration = await this.test(own);
    const unread = await notRead(configuration, needed);
    if (unread !== undefined) {
      throw new CutoverError("nginx_config_broken", `nginx does not read ${unread}.`, {
        unchanged: "nginx keeps its present configuration.",
        fix: `Put \`include ${this.#options.confDir}/*.conf;\` into the http block of nginx's main configuration, or set nginx.conf_dir in agent.yml to a directory that is included.`,
      });
    }
    this.#place = await this.#placeOf(configuration);
    const master = await this.#startingMaster(this.#place);
    if (master === undefined) throw notRunning(this.#place);
    const deadline = this.#clock.elapsed() + (this.#options.timeoutMs ?? 20_000);
    await this.#readyForSignal(master, deadline);
    const before = new Set(await this.#children(master));
    const log = await ErrorLog.at(master);
    await effect("nginx.reload", async () => this.#signal(master));
    const read = await this.#newWorkers(master, before, deadline);
    if (!read) throw refusedConfig((await log?.complaints()) ?? "", own);
  }

  /** A reload by somebody else may have read the files as they were before. Its new workers would look like those of ours. */
  async #readyForSignal(master: number, deadline: number): Promise<void> {
    while (!(await waitsForSignals(master))) {
      if (this.#clock.elapsed() > deadline) throw unreachable("nginx is busy with other reloads and takes no signal.");
      await this.#pause(master);
    }
  }

  /**
   * Waits until new workers run and each old one is gone or accepts no more connections: then every new connection gets the
   * new configuration.
   * @returns false if the master has refused: it goes on as before, whatever the log says of others
   */
  async #newWorkers(master: number, before: ReadonlySet<number>, deadline: number): Promise<boolean> {
    for (;;) {
      // Before the look: a reload that came in time is not late because the look took long.
      const late = this.#clock.elapsed() > deadline;
      const handled = await waitsForSignals(master);
      const serving = await workersOf(await this.#masters(master), true);
      if (handled && serving.length > 0 && serving.every((pid) => !before.has(pid))) return true;
      // A new worker has its master's title at first, on a busy host for longer than the master works.
      if (handled && (await this.#children(master)).every((pid) => before.has(pid))) return false;
      if (late) throw unreachable("nginx did not start new workers after a reload.");
      await this.#pause(master);
    }
  }

  /** Workers, and what will be one. */
  async #children(master: number): Promise<number[]> {
    return (await Promise.all((await this.#masters(master)).map(childrenOf))).flat();
  }

  /** Also the one before a binary upgrade, while both run. */
  async #masters(master: number): Promise<number[]> {
    const old = this.#place === undefined ? undefined : await oldMasterAt(this.#place);
    return old === undefined ? [master] : [master, old];
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

  /** Waits a little. @throws CutoverError nginx_unreachable if the master has ended */
  async #pause(master: number): Promise<void> {
    if (!(await processRuns(master))) throw unreachable("nginx ended while it was reloading.");
    await this.#clock.sleep(10);
  }

  /** The master. While its binary is upgraded, there is a moment without one. */
  async #startingMaster(place: MasterPlace): Promise<number | undefined> {
    const deadline = this.#clock.elapsed() + 5000;
    for (;;) {
      const late = this.#clock.elapsed() > deadline;
      const master = await masterAt(place);
      if (master !== undefined || late || (await oldMasterAt(place)) === undefined) return master;
      await this.#clock.sleep(20);
    }
  }

  /** Remembered only if nginx accepts its configuration. Otherwise the main file alone is asked. */
  async #findPlace(): Promise<MasterPlace> {
    const { code, stdout } = await this.#run("-T");
    if (code === 0) {
      this.#place = await this.#placeOf(stdout);
      return this.#place;
    }
    const { stderr: built } = await this.#run("-V");
    const conf = this.#options.conf ?? builtIn(built, "conf-path");
    const text = conf === undefined ? "" : await readFile(conf, "utf8").catch(() => "");
    return this.#placeOf(`# configuration file ${conf}:\n${text}`);
  }

  async #placeOf(configuration: string): Promise<MasterPlace> {
    const { conf, prefix } = this.#options;
    const named = /^[ \t]*pid[ \t]+"?([^";\n]+)"?[ \t]*;/m.exec(configuration)?.[1];
    const known = named !== undefined && isAbsolute(named);
    const built = known && conf === undefined ? "" : (await this.#run("-V")).stderr;
    const pidFile = named ?? builtIn(built, "pid-path") ?? "logs/nginx.pid";
    return {
      pidFile: known ? named : resolve(prefix ?? builtIn(built, "prefix") ?? "/usr/local/nginx", pidFile),
      conf: /^# configuration file (.+):$/m.exec(configuration)?.[1],
      // With a prefix of its own a binary may have another default.
      defaultConf: prefix === undefined ? builtIn(built, "conf-path") : undefined,
    };
  }

  #signal(master: number): void {
    try {
      process.kill(master, "SIGHUP");
    } catch (cause) {
      throw unreachable("nginx could not be told to reload.", cause);
    }
  }
}

function notRunning({ pidFile }: MasterPlace): CutoverError {
  return unreachable(`nginx is not running (pid file ${pidFile}).`);
}

/** A path with which the binary was built, as `nginx -V` says. */
function builtIn(text: string, option: "conf-path" | "pid-path" | "prefix"): string | undefined {
  return new RegExp(`--${option}=(\\S+)`).exec(text)?.[1];
}

/** The first of these files that the configuration does not include. Links on the way to a file do not matter. */
async function notRead(configuration: string, needed: string[]): Promise<string | undefined> {
  const named = [...configuration.matchAll(/^# configuration file (.+):$/gm)].map(([, path = ""]) => path);
  const read = new Set(await Promise.all(named.map((path) => realpath(path).catch(() => path))));
  for (const path of needed) if (!read.has(await realpath(path))) return path;
  return undefined;
}
