import { open, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { CutoverError } from "../../../shared/errors.ts";
import { type Effect, effect } from "../../effects.ts";
import type { Clock } from "../../ports.ts";
import { systemClock } from "../clock.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../durable.ts";
import { listIfThere, readIfThere } from "../optional-file.ts";
import { childrenOf, commandLine, processRuns, readPidFile } from "../processes.ts";
import { runTool, type ToolResult } from "../run-tool.ts";
import { asHost } from "../systemd-step.ts";
import { type NginxFeatures, parseFeatures } from "./nginx-features.ts";

export interface NginxOptions {
  binary: string;
  /** The directory of site files, which the main configuration includes. */
  confDir: string;
  /** Another main configuration than the binary's own. */
  conf?: string | undefined;
  /** Another prefix than the binary's own. */
  prefix?: string | undefined;
  /** How long a reload may take, in milliseconds. */
  timeoutMs?: number;
  clock?: Clock;
}

const siteMode = 0o644;

/** A file below conf_dir; without text it is to be gone. */
export interface SiteFile {
  name: string;
  /** The name of its writing; `site.write` unless given. */
  effect?: Effect;
  text: string | undefined;
}

interface FileState {
  path: string;
  effect: Effect;
  text: string | undefined;
  present: string | undefined;
  loaded: string | undefined;
}

/** The host's nginx: its files, its test, its reload. */
export class Nginx {
  readonly #options: NginxOptions;
  readonly #clock: Clock;
  /** nginx's pid file, once it is known. */
  #pidPath: string | undefined;
  /** Whether the last reload got as far as nginx. */
  #told = false;
  /** One at a time: a site that is refused must not make the test of another app's site fail. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NginxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Makes nginx work with these files, and returns when its new workers do. Nothing happens where it does already. When nginx
   * refuses them, all of them are again what they were before.
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  write(files: SiteFile[]): Promise<{ changed: boolean }> {
    return this.#inTurn(() => this.#write(files));
  }

  /** Takes files away. An nginx that does not run needs no reload for that. */
  remove(names: string[]): Promise<void> {
    return this.#inTurn(() => this.#remove(names));
  }

  /**
   * Whether workers from before the last reload still finish what they have. Asked many times while something drains, and
   * also where another site's file has become wrong since: so the configuration is read only to find the master.
   */
  async oldWorkers(): Promise<boolean> {
    const master = await readPidFile(this.#pidPath ?? (await this.#findPidFile()));
    if (master === undefined || !(await processRuns(master))) return false;
    const [all, serving] = [await workers(master, false), await workers(master, true)];
    return all.length > serving.length;
  }

  /** @throws CutoverError nginx_unreachable where it does not run, as far as its configuration tells */
  async assertRuns(): Promise<void> {
    if (this.#pidPath !== undefined && (await masterRuns(this.#pidPath))) return;
    // It may have been given another place since.
    this.#pidPath = undefined;
    const file = await this.#findPidFile();
    // What nginx refuses does not name the pid file: then the one that runs may well go on.
    if (this.#pidPath === undefined || (await masterRuns(file))) return;
    throw unreachable(`nginx is not running (pid file ${file}).`);
  }

  /** All of its text. @throws CutoverError nginx_config_broken, nginx_unreachable */
  configuration(): Promise<string> {
    return this.#test();
  }

  /** Asked each time, since nginx may be replaced while the agent runs. @throws CutoverError nginx_unreachable */
  async features(): Promise<NginxFeatures> {
    const { stderr } = await this.#run("-V");
    return parseFeatures(stderr);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #write(wanted: SiteFile[]): Promise<{ changed: boolean }> {
    const files = await Promise.all(wanted.map((file) => this.#stateOf(file)));
    const changing = files.filter(({ text, present, loaded }) => present !== text || loaded !== text);
    if (changing.length === 0) {
      await this.#clearUnfinished(files);
      return { changed: false };
    }
    // Kept until the reload is done: after a crash in between the files alone would look as if nginx had read them.
    this.#told = false;
    try {
      for (const { path, loaded } of changing) {
        await effect("nginx.keep", () => writeDurably(beforeFile(path), loaded ?? "", siteMode), path);
      }
      for (const { path, text, effect: name } of changing) await effect(name, () => this.#put(path, text));
      await this.#reload(
        changing.filter(({ text }) => text !== undefined).map(({ path }) => path),
        files.map(({ path }) => path),
      );
    } catch (error) {
      // Once more where it fails: what nginx refuses must not stay where its next start would read it.
      for (const file of changing) {
        await effect("site.restore", () => this.#restore(file), file.path).catch(() => this.#restore(file));
      }
      await this.#readAgain(changing, error);
      await this.#forget(changing);
      throw error;
    }
    await this.#forget(changing);
    return { changed: true };
  }

  async #remove(names: string[]): Promise<void> {
    const files = await Promise.all(names.map((name) => this.#stateOf({ name, text: undefined })));
    const there = files.filter(({ present, loaded }) => present !== undefined || loaded !== undefined);
    if (there.length === 0) return;
    for (const { path } of there) await effect("site.remove", () => rm(path, { force: true }), path);
    await this.#forget(there);
    try {
      await this.#reload([], []);
    } catch (error) {
      if (!(error instanceof CutoverError && error.code === "nginx_unreachable")) throw error;
    }
  }

  /**
   * Where something went wrong after nginx had been told, it may serve what was just taken back. What it still may have when
   * it cannot be told again is kept, so that the next write of the old text tells it.
   */
  async #readAgain(files: FileState[], error: unknown): Promise<void> {
    const refused = error instanceof CutoverError && error.code === "nginx_config_broken";
    if (refused || !this.#told) return;
    try {
      await this.#reload(
        [],
        files.map(({ path }) => path),
      );
    } catch {
      for (const { path, text } of files) await writeDurably(beforeFile(path), text ?? "", siteMode);
      throw error;
    }
  }

  /** What is in a file, and what nginx has of it: what was there before, where a write did not come to its end. */
  async #stateOf({ name, text, effect = "site.write" }: SiteFile): Promise<FileState> {
    const path = join(this.#options.confDir, name);
    const present = await readIfThere(path);
    const before = await readIfThere(beforeFile(path));
    const loaded = before === undefined ? present : before === "" ? undefined : before;
    return { path, effect, text, present, loaded };
  }

  /** What a killed agent left beside files that are as they should be. */
  async #clearUnfinished(files: FileState[]): Promise<void> {
    const left = await listIfThere(this.#options.confDir);
    for (const { path } of files) {
      for (const file of [path, beforeFile(path)])
        if (left.includes(`${basename(file)}.tmp`)) await removeUnfinished(file);
    }
    const kept = files.filter(({ path }) => left.includes(basename(beforeFile(path))));
    if (kept.length > 0) await this.#forget(kept);
  }

  async #put(path: string, text: string | undefined): Promise<void> {
    if (text === undefined) await rm(path, { force: true });
    else await writeDurably(path, text, siteMode);
  }

  /** By a rename of what was kept, which also a full disk has room for. */
  async #restore({ path, loaded }: FileState): Promise<void> {
    if (loaded === undefined) return rm(path, { force: true });
    const kept = await readIfThere(beforeFile(path));
    if (kept === undefined) return;
    await rename(beforeFile(path), path);
    await syncDirectory(this.#options.confDir);
  }

  async #forget(files: FileState[]): Promise<void> {
    for (const { path } of files) {
      await effect("nginx.forget", () => rm(beforeFile(path), { force: true }), path);
    }
    await syncDirectory(this.#options.confDir);
  }

  /** @param own the files of the app that this is done for */
  async #reload(needed: string[], own: string[]): Promise<void> {
    this.#told = false;
    const configuration = await this.#test(own);
    const unread = await notRead(configuration, needed);
    if (unread !== undefined) {
      throw new CutoverError("nginx_config_broken", `nginx does not read ${unread}.`, {
        unchanged: "nginx goes on with the configuration that it has.",
        fix: `Put \`include ${this.#options.confDir}/*.conf;\` into the http block of nginx's main configuration, or set nginx.conf_dir in agent.yml to a directory that is included.`,
      });
    }
    const master = await this.#master(configuration);
    const before = new Set(await workers(master, false));
    const log = await ErrorLog.at(master);
    this.#told = true;
    await effect("nginx.reload", async () => this.#signal(master));
    const deadline = this.#clock.elapsed() + (this.#options.timeoutMs ?? 20_000);
    // The new workers run, and of the old ones each is gone or accepts no more: only then every new connection is served
    // by the new configuration.
    for (;;) {
      const serving = await workers(master, true);
      if (serving.length > 0 && serving.every((pid) => !before.has(pid))) return;
      const complaint = await log?.complaint();
      if (complaint !== undefined) throw refusedConfig(complaint, own);
      if (!(await processRuns(master))) throw unreachable("nginx ended while it was reloading.");
      if (this.#clock.elapsed() > deadline) throw unreachable("nginx did not start new workers after a reload.");
      await this.#clock.sleep(10);
    }
  }

  /** Tests the configuration. @returns all of its text */
  async #test(own: string[] = []): Promise<string> {
    const { code, stdout, stderr } = await this.#run("-T");
    if (code !== 0) throw refusedConfig(stderr, own);
    return stdout;
  }

  async #run(option: string): Promise<ToolResult> {
    const { binary, conf, prefix } = this.#options;
    const places = [...(prefix === undefined ? [] : ["-p", prefix]), ...(conf === undefined ? [] : ["-c", conf])];
    try {
      // It looks names up, binds and opens logs: whatever the host has and a helper's unit has not.
      const [program = "", ...words] = asHost([binary, option, "-q", ...places], process.env);
      return await runTool(program, words);
    } catch (cause) {
      throw new CutoverError("nginx_unreachable", `nginx could not be started as \`${binary}\`.`, {
        unchanged: "The site is as it was.",
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

/** A file that the configuration does not include, by whatever way through links it names its directory. */
async function notRead(configuration: string, needed: string[]): Promise<string | undefined> {
  const named = [...configuration.matchAll(/^# configuration file (.+):$/gm)].map(([, path = ""]) => path);
  const read = new Set(await Promise.all(named.map((path) => realpath(path).catch(() => path))));
  for (const path of needed) if (!read.has(await realpath(path))) return path;
  return undefined;
}

/** Not *.conf, so nginx does not include it. */
function beforeFile(file: string): string {
  return `${file}.before`;
}

/** The worker processes of a master; those that still accept connections, or all. */
async function workers(master: number, serving: boolean): Promise<number[]> {
  const pids = await childrenOf(master);
  const titles = await Promise.all(pids.map(commandLine));
  return pids.filter((_, index) => {
    const title = titles[index] ?? "";
    return title.startsWith("nginx: worker process") && !(serving && title.endsWith("is shutting down"));
  });
}

/** What a running master says about a configuration that it tested well but cannot use, such as an address in use. */
class ErrorLog {
  readonly #path: string;
  readonly #start: number;

  private constructor(path: string, start: number) {
    this.#path = path;
    this.#start = start;
  }

  /** nginx points its standard error at its error log; undefined where that is no file. */
  static async at(master: number): Promise<ErrorLog | undefined> {
    const path = await readlink(`/proc/${master}/fd/2`).catch(() => "");
    const status = await stat(path).catch(() => undefined);
    return status?.isFile() ? new ErrorLog(path, status.size) : undefined;
  }

  async complaint(): Promise<string | undefined> {
    const file = await open(this.#path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, this.#start);
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      // It tries five times, half a second apart, before it gives up.
      return lines.some((line) => line.includes("still could not bind()"))
        ? lines.filter((line) => line.includes("[emerg]")).join("\n")
        : lines.find((line) => line.includes("[emerg]") && !line.includes("bind()"));
    } finally {
      await file.close();
    }
  }
}

/** @param own the app's files: a fault in another one is somebody else's to mend */
function refusedConfig(output: string, own: string[]): CutoverError {
  const messages = output.split("\n").filter((line) => line.includes("[emerg]") || line.includes("[crit]"));
  const message = (messages[0] ?? output.trim().split("\n")[0] ?? "")
    .replace(/^.*?\[(?:emerg|crit)\] /, "")
    .replace(/^\d+#\d+: /, "");
  const [, file, line] = / in (\S+):(\d+)$/.exec(message) ?? [];
  const foreign = file !== undefined && !own.some((path) => basename(path) === basename(file));
  const place = file === undefined ? "" : `Look at ${file}:${line}. `;
  const whose = foreign
    ? "This file is not the app's: until it is right, nginx reloads for no site, nor would it start. "
    : "";
  return new CutoverError("nginx_config_broken", `nginx refuses its configuration: ${message}`, {
    unchanged: "nginx goes on with the configuration that it has; the site's file is as it was.",
    fix: `${place}${whose}${fixFor(message)}`,
    evidence: [{ source: "nginx", text: output.trim().slice(-4000) }],
  });
}

function fixFor(message: string): string {
  if (message.includes("bind()")) return "Another program has this address: stop it, or choose another `listen`.";
  if (message.includes("duplicate default server")) {
    return "Give the app a domain in its settings, or take the other default server out (on Debian: sites-enabled/default).";
  }
  if (/open\(\) "[^"]+\.log" failed/.test(message)) {
    return "Make the directory, or set nginx.log_dir in agent.yml to the one of nginx's logs.";
  }
  return "Correct it, check with `nginx -t`, and deploy again.";
}

function unreachable(message: string, cause?: unknown): CutoverError {
  return new CutoverError("nginx_unreachable", message, {
    unchanged: "The site's file is as it was.",
    fix: "Start nginx (`systemctl start nginx`), look at its error log, and see that the agent may signal it.",
    cause,
  });
}
