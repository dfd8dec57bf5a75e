import { CutoverError } from "../../shared/errors.ts";
import type { Effects } from "./effects.ts";
import type { Host } from "./host.ts";
import { type AppFiles, isUnread, loaded, type NginxFile } from "./nginx.ts";

/**
 * How the agent writes an app's nginx files and makes nginx read them, effect by effect as agent/host/nginx does it
 * (nginx.ts, master.ts, site-files.ts), which works on real processes and files.
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
    check: () => void,
  ): Promise<{ changed: boolean }> {
    return this.#inTurn(async () => {
      check();
      return this.#write(app, wanted);
    });
  }

  remove(app: string): Promise<void> {
    return this.#inTurn(async () => {
      try {
        await this.#write(app, { site: undefined, upstream: undefined });
      } catch (thrown) {
        const unreachable = thrown instanceof CutoverError && thrown.code === "nginx_unreachable";
        if (!unreachable || this.#host.nginx.up) throw thrown;
        const files = both(this.#host.nginx.appFiles(app));
        markUnread(files);
        for (const [, file] of files)
          await this.#effects.do("site.write", app, () => {
            file.present = undefined;
          });
        await this.#forget(app, files);
      }
    });
  }

  /** A test of the whole configuration, while no other app's files are tried. */
  test(app: string): Promise<string | undefined> {
    return this.#inTurn(async () => {
      try {
        await this.#withoutUnfinished(app, () => this.#test(app));
      } catch (thrown) {
        if (!(thrown instanceof CutoverError)) throw thrown;
        return thrown.message;
      }
      return undefined;
    });
  }

  async #test(app: string): Promise<void> {
    const complaint = await this.#effects.ask("ask.site", app, () => this.#host.nginx.test());
    if (complaint !== undefined) throw refused(complaint);
  }

  /** By agent/host/nginx/nginx.ts: what a killed agent left of other apps gets the text that nginx had. */
  async #withoutUnfinished(app: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      if (!isRefused(thrown)) throw thrown;
      const others = [...this.#host.nginx.files].filter(([other]) => other !== app);
      const unfinished = others.flatMap(([, files]) => both(files).filter(([, file]) => file.present !== loaded(file)));
      if (unfinished.length === 0) throw thrown;
      const present = new Map(unfinished.map(([, file]) => [file, file.present]));
      for (const [, file] of unfinished) {
        file.unread = true;
        await this.#effects.do("site.restore", app, () => {
          file.present = loaded(file);
        });
      }
      try {
        await work();
      } catch (still) {
        if (isRefused(still)) for (const [file, text] of present) file.present = text;
        throw still;
      }
      for (const [, file] of unfinished) file.kept = undefined;
    }
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
    const changing = both(files).filter(([key, file]) => file.present !== wanted[key] || isUnread(file));
    const unsure = changing.some(([, file]) => isUnread(file));
    if (changing.length === 0) {
      await this.#forget(
        app,
        both(files).filter(([, file]) => file.kept !== undefined),
      );
      return { changed: false };
    }
    let written = false;
    const before = new Map(changing.map(([key, file]) => [key, loaded(file)]));
    const forget = () => this.#forget(app, changing);
    try {
      for (const [key, file] of changing) {
        await effects.do("nginx.keep", app, () => {
          file.kept = before.get(key) ?? "";
        });
      }
      markUnread(changing.filter(([, file]) => isUnread(file)));
      written = true;
      for (const [key, file] of changing) {
        await effects.do(key === "site" ? "site.write" : "upstream.write", app, () => {
          file.present = wanted[key];
        });
      }
      await this.#withoutUnfinished(app, () => this.#reload(app));
    } catch (thrown) {
      const unread = unsure || (written && !isRefused(thrown));
      if (unread) markUnread(changing);
      for (const [key, file] of changing) await this.#restore(app, file, before.get(key));
      if (unread) await this.#readAgain(app, changing, thrown);
      await forget().catch(forget);
      throw thrown;
    }
    const all = () =>
      this.#forget(
        app,
        both(files).filter((named) => changing.some(([key]) => key === named[0]) || named[1].kept !== undefined),
      );
    await all().catch(all);
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

  async #readAgain(app: string, changing: Named[], thrown: unknown): Promise<void> {
    try {
      await this.#withoutUnfinished(app, () => this.#reload(app));
    } catch {
      if (!this.#host.nginx.up) return;
      markUnread(changing);
      throw thrown;
    }
  }

  async #forget(app: string, files: Named[]): Promise<void> {
    for (const [, file] of files)
      await this.#effects.do("nginx.forget", app, () => {
        file.kept = undefined;
        file.unread = false;
      });
  }

  /** By agent/host/nginx/master.ts: a signal of its own, and done when all that serve are new. */
  async #reload(app: string): Promise<void> {
    const { nginx, timeline } = this.#host;
    await this.#test(app);
    const { master } = nginx;
    if (!nginx.up || nginx.pidFile !== master) throw unreachable("nginx is not running");
    const deadline = timeline.elapsed + 20_000;
    while (!nginx.idle) {
      if (timeline.elapsed > deadline) throw unreachable("nginx is busy with other reloads");
      await this.#effects.wait(20);
    }
    const before = new Set(nginx.living().map(({ pid }) => pid));
    await this.#effects.do("nginx.reload", app, () => {
      if (nginx.master === master) nginx.reload(app);
    });
    if (!(await this.#newWorkers(master, before, deadline))) throw refused(nginx.log.at(-1) ?? "");
  }

  /** @returns false if the master goes on as before: it has refused */
  async #newWorkers(master: number, before: ReadonlySet<number>, deadline: number): Promise<boolean> {
    const { nginx, timeline } = this.#host;
    for (;;) {
      const late = timeline.elapsed > deadline;
      if (nginx.master !== master) throw unreachable("nginx ended while it was reloading");
      const living = nginx.living();
      const serving = living.filter((worker) => worker.serving);
      if (nginx.idle && serving.length > 0 && serving.every(({ pid }) => !before.has(pid))) return true;
      if (nginx.idle && living.every(({ pid }) => before.has(pid))) return false;
      if (late) throw unreachable("nginx did not start new workers after a reload");
      await this.#effects.wait(20);
    }
  }
}

type Named = ["site" | "upstream", NginxFile];

function both(files: AppFiles): Named[] {
  return [
    ["site", files.site],
    ["upstream", files.upstream],
  ];
}

/** An empty file, which needs no space. */
function markUnread(files: Named[]): void {
  for (const [, file] of files) file.unread = true;
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
