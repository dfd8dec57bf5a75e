import { CutoverError } from "../../shared/errors.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import type { AppFiles, NginxFile } from "./nginx.ts";

/**
 * How the agent writes an app's nginx files and makes nginx read them, effect by effect as agent/host/nginx does it
 * (nginx.ts, nginx-master.ts, site-files.ts), which works on real processes and files.
 */
export class NginxWriter {
  readonly #host: Host;
  readonly #effects: Effects;
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: Host, effects: Effects) {
    this.#host = host;
    this.#effects = effects;
  }

  write(
    app: string,
    wanted: { site: string | undefined; upstream: string | undefined },
  ): Promise<{ changed: boolean }> {
    return this.#inTurn(() => this.#write(app, wanted));
  }

  remove(app: string): Promise<void> {
    return this.#inTurn(async () => {
      const files = this.#host.nginx.appFiles(app);
      const there = both(files).filter(([, file]) => file.present !== undefined || file.kept !== undefined);
      if (there.length === 0) return;
      for (const [, file] of there)
        await this.#effects.do("site.write", app, () => {
          file.present = undefined;
        });
      for (const [, file] of there)
        await this.#effects.do("nginx.forget", app, () => {
          file.kept = undefined;
        });
      try {
        await this.#reload(app, () => {});
      } catch (thrown) {
        if (!(thrown instanceof CutoverError && thrown.code === "nginx_unreachable")) throw thrown;
      }
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #write(
    app: string,
    wanted: { site: string | undefined; upstream: string | undefined },
  ): Promise<{ changed: boolean }> {
    const files = this.#host.nginx.appFiles(app);
    const effects = this.#effects;
    const changing = both(files).filter(([key, file]) => file.present !== wanted[key] || loaded(file) !== wanted[key]);
    if (changing.length === 0) {
      const kept = both(files).filter(([, file]) => file.kept !== undefined);
      for (const [, file] of kept)
        await effects.do("nginx.forget", app, () => {
          file.kept = undefined;
        });
      return { changed: false };
    }
    let told = false;
    const before = new Map(changing.map(([key, file]) => [key, loaded(file)]));
    const forget = async () => {
      for (const [, file] of changing)
        await effects.do("nginx.forget", app, () => {
          file.kept = undefined;
        });
    };
    try {
      for (const [key, file] of changing) {
        await effects.do("nginx.keep", app, () => {
          file.kept = before.get(key) ?? "";
        });
      }
      for (const [key, file] of changing) {
        await effects.do(key === "site" ? "site.write" : "upstream.write", app, () => {
          file.present = wanted[key];
        });
      }
      await this.#reload(app, () => {
        told = true;
      });
    } catch (thrown) {
      for (const [key, file] of changing) await this.#restore(app, file, before.get(key));
      if (told && !isRefused(thrown)) await this.#readAgain(app, changing, wanted, thrown);
      await forget().catch(forget);
      throw thrown;
    }
    await forget().catch(forget);
    return { changed: true };
  }

  async #restore(app: string, file: NginxFile, text: string | undefined): Promise<void> {
    const put = () => {
      if (text !== undefined && file.kept === undefined) return;
      file.present = text;
      file.kept = undefined;
    };
    await this.#effects.do("site.restore", app, put).catch(put);
  }

  async #readAgain(
    app: string,
    changing: ["site" | "upstream", NginxFile][],
    wanted: Record<"site" | "upstream", string | undefined>,
    thrown: unknown,
  ): Promise<void> {
    try {
      await this.#reload(app, () => {});
    } catch {
      for (const [key, file] of changing) file.kept = wanted[key] ?? "";
      throw thrown;
    }
  }

  /** By nginx-master.ts: told, and done when all that serve are new. */
  async #reload(app: string, onTold: () => void): Promise<void> {
    const { nginx, strangers, timeline, watcher } = this.#host;
    const complaint = await this.#effects.ask("ask.site", app, () => nginx.test());
    if (complaint !== undefined) throw refused(complaint);
    const { pidFile } = nginx;
    if (pidFile === 0 || (pidFile !== nginx.master && !strangers.has(pidFile)))
      throw unreachable("nginx is not running");
    const before = new Set(nginx.living().map(({ pid }) => pid));
    const logStart = nginx.log.length;
    onTold();
    await this.#effects.do("nginx.reload", app, () => {
      if (pidFile === nginx.master) nginx.reload();
      else if (strangers.has(pidFile))
        watcher.broken("I3", `SIGHUP went to pid ${pidFile}, which is not nginx any more`);
    });
    const deadline = timeline.elapsed + 20_000;
    for (;;) {
      const late = timeline.elapsed > deadline;
      const serving = pidFile === nginx.master ? nginx.living().filter((worker) => worker.serving) : [];
      if (serving.length > 0 && serving.every(({ pid }) => !before.has(pid))) return;
      const said = nginx.log.slice(logStart).find((line) => line.includes("[emerg]"));
      if (said !== undefined) throw refused(said);
      if (pidFile !== nginx.master && !strangers.has(pidFile)) throw unreachable("nginx ended while it was reloading");
      if (late) throw unreachable("nginx did not start new workers after a reload");
      await this.#effects.wait(20);
    }
  }
}

function both(files: AppFiles): ["site" | "upstream", NginxFile][] {
  return [
    ["site", files.site],
    ["upstream", files.upstream],
  ];
}

/** What nginx has of a file. */
function loaded({ present, kept }: NginxFile): string | undefined {
  return kept === undefined ? present : kept === "" ? undefined : kept;
}

function isRefused(thrown: unknown): boolean {
  return thrown instanceof CutoverError && thrown.code === "nginx_config_broken";
}

function refused(complaint: string): CutoverError {
  return new CutoverError("nginx_config_broken", `nginx refuses its configuration: ${complaint}`, {
    unchanged: "nginx goes on with the configuration that it has; the site's file is as it was.",
  });
}

function unreachable(message: string): CutoverError {
  return new CutoverError("nginx_unreachable", message, { unchanged: "The site's file is as it was." });
}
