import { CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { NginxFeatures } from "./features.ts";
import { NginxMaster, type NginxOptions } from "./master.ts";
import { type FileState, type SiteFile, SiteFiles } from "./site-files.ts";

/** The host's nginx: writes its files, and makes it work with them. */
export class Nginx {
  readonly #master: NginxMaster;
  readonly #files: SiteFiles;
  /** One change at a time: a refused site must not make the test of another app's site fail. */
  readonly #queue = new SerialQueue();

  constructor(options: NginxOptions) {
    this.#master = new NginxMaster(options);
    this.#files = new SiteFiles(options.confDir);
  }

  /**
   * Makes nginx work with these files, and returns when its new workers do. Does nothing if it works with them already. If
   * nginx refuses them, all of them get their old text back.
   * @param check what must hold while no other app's files change; what it throws is thrown, and nothing is written
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  write(files: SiteFile[], check: () => Promise<void> = async () => undefined): Promise<{ changed: boolean }> {
    return this.#queue.run(async () => {
      await check();
      return this.#write(files);
    });
  }

  /**
   * Removes files, and returns when nginx works without them. If nginx refuses that, they are there again. An nginx that does
   * not run needs no reload for that.
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  remove(names: string[]): Promise<void> {
    return this.#queue.run(() => this.#remove(names));
  }

  /**
   * Whether nginx may have another text of a file than the present one, and the last that it certainly had. A write that runs
   * has its end first.
   */
  loaded(name: string): Promise<Pick<FileState, "loaded" | "unread">> {
    return this.#queue.run(() => this.#files.stateOf({ name, text: undefined }));
  }

  /** Makes it open its logs again. An nginx that does not run opens them when it starts. */
  reopenLogs(): Promise<void> {
    return this.#queue.run(() => this.#master.reopenLogs());
  }

  // Each test of the configuration has its turn: while another app's site is tried, nginx may refuse the files.

  /** Whether workers from before the last reload still finish their requests. */
  oldWorkers(): Promise<boolean> {
    const ask = () => this.#master.oldWorkers();
    return this.#master.isFound ? ask() : this.#queue.run(ask);
  }

  /** @throws CutoverError nginx_unreachable if it does not run, as far as its configuration says */
  async assertRuns(): Promise<void> {
    if (!(await this.#master.runs())) await this.#queue.run(() => this.#master.assertRuns());
  }

  /** The whole text of its configuration. @throws CutoverError nginx_config_broken, nginx_unreachable */
  configuration(): Promise<string> {
    return this.#queue.run(() => this.#withoutUnfinished([], () => this.#master.test()));
  }

  /** @throws CutoverError nginx_unreachable */
  features(): Promise<NginxFeatures> {
    return this.#master.features();
  }

  async #write(wanted: SiteFile[]): Promise<{ changed: boolean }> {
    const files = await Promise.all(wanted.map((file) => this.#files.stateOf(file)));
    const changing = files.filter(({ text, present, unread }) => present !== text || unread);
    if (changing.length === 0) {
      await this.#files.clearUnfinished(files);
      return { changed: false };
    }
    const needed = changing.filter(({ text }) => text !== undefined);
    let written = false;
    try {
      for (const file of changing) await this.#files.keep(file);
      // The new text may be the one that is kept. A kill before the reload must not make that look as if nginx had it.
      await this.#markUnread(changing.filter((file) => file.unread));
      written = true;
      for (const file of changing) await this.#files.put(file);
      await this.#reload(files, needed);
    } catch (error) {
      // It may have had its signal, or somebody else has started or reloaded it in the meantime.
      const unread = changing.some((file) => file.unread) || (written && !isRefused(error));
      // Before the old text is back: an agent that is killed then must not take it for the one that nginx has.
      if (unread) await this.#markUnread(changing).catch(() => undefined);
      for (const file of changing) await this.#files.restore(file);
      if (unread) await this.#readAgain(changing, error);
      await this.#forget(changing);
      throw error;
    }
    // Also what a killed agent kept of a file that it had not changed yet.
    await this.#forget(files);
    return { changed: true };
  }

  /** Tries twice: a finished change must not look as if it were not finished. */
  #forget(files: FileState[]): Promise<void> {
    return this.#files.forget(files).catch(() => this.#files.forget(files));
  }

  async #remove(names: string[]): Promise<void> {
    const wanted = names.map((name): SiteFile => ({ name, effect: "site.remove", text: undefined }));
    try {
      await this.#write(wanted);
    } catch (error) {
      const down = error instanceof CutoverError && error.code === "nginx_unreachable" && !(await this.#mayRun());
      if (!down) throw error;
      const files = await Promise.all(wanted.map((file) => this.#files.stateOf(file)));
      // It may start in the middle.
      await this.#markUnread(files);
      for (const file of files) await this.#files.put(file);
      await this.#forget(files);
    }
  }

  #mayRun(): Promise<boolean> {
    return this.#master.runs().catch(() => true);
  }

  /**
   * If something failed after the new text was there, nginx may serve what was just taken back. If it cannot be signalled again,
   * the mark stays, so that the next write signals it. One that does not run reads the old text when it starts.
   */
  async #readAgain(files: FileState[], error: unknown): Promise<void> {
    try {
      await this.#reload(files);
    } catch {
      if (!(await this.#mayRun())) return;
      await this.#markUnread(files);
      throw error;
    }
  }

  #reload(files: FileState[], needed: FileState[] = []): Promise<void> {
    const own = pathsOf(files);
    return this.#withoutUnfinished(own, () => this.#master.reload({ needed: pathsOf(needed), own }));
  }

  /**
   * Does something that needs a configuration which nginx accepts. What a killed agent left in other apps' files must not be in
   * the way until these apps are taken up, which can be late: if nginx refuses, they get the text that nginx had before.
   */
  async #withoutUnfinished<T>(own: string[], work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isRefused(error)) throw error;
      const unfinished = await this.#files.unfinished(own);
      if (unfinished.length === 0) throw error;
      return this.#without(unfinished, work);
    }
  }

  async #without<T>(unfinished: FileState[], work: () => Promise<T>): Promise<T> {
    for (const file of unfinished) await this.#files.putBack(file);
    try {
      const done = await work();
      await this.#files.dropKept(unfinished).catch(() => undefined);
      return done;
    } catch (error) {
      // They were not, or not alone, what nginx refuses.
      if (isRefused(error)) for (const file of unfinished) await this.#files.put({ ...file, text: file.present });
      throw error;
    }
  }

  async #markUnread(files: FileState[]): Promise<void> {
    for (const file of files) await this.#files.markUnread(file);
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof CutoverError && error.code === "nginx_config_broken";
}

function pathsOf(files: FileState[]): string[] {
  return files.map(({ path }) => path);
}
