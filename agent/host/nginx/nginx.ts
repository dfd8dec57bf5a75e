import { CutoverError } from "../../../shared/errors.ts";
import { SerialQueue } from "../../../shared/serial-queue.ts";
import type { NginxFeatures } from "./nginx-features.ts";
import { NginxMaster, type NginxOptions } from "./nginx-master.ts";
import { type FileState, type SiteFile, SiteFiles } from "./site-files.ts";

/** The host's nginx: what its files say and what it works with, made one. */
export class Nginx {
  readonly #master: NginxMaster;
  readonly #files: SiteFiles;
  /** One at a time: a site that is refused must not make the test of another app's site fail. */
  readonly #queue = new SerialQueue();

  constructor(options: NginxOptions) {
    this.#master = new NginxMaster(options);
    this.#files = new SiteFiles(options.confDir);
  }

  /**
   * Makes nginx work with these files, and returns when its new workers do. Nothing happens where it does already. When nginx
   * refuses them, all of them are again what they were before.
   * @throws CutoverError nginx_config_broken, nginx_unreachable
   */
  write(files: SiteFile[]): Promise<{ changed: boolean }> {
    return this.#queue.run(() => this.#write(files));
  }

  /** Takes files away. An nginx that does not run needs no reload for that. */
  remove(names: string[]): Promise<void> {
    return this.#queue.run(() => this.#remove(names));
  }

  /** Whether workers from before the last reload still finish what they have. */
  oldWorkers(): Promise<boolean> {
    return this.#master.oldWorkers();
  }

  /** @throws CutoverError nginx_unreachable where it does not run, as far as its configuration tells */
  assertRuns(): Promise<void> {
    return this.#master.assertRuns();
  }

  /** All of its text. @throws CutoverError nginx_config_broken, nginx_unreachable */
  configuration(): Promise<string> {
    return this.#master.test();
  }

  /** @throws CutoverError nginx_unreachable */
  features(): Promise<NginxFeatures> {
    return this.#master.features();
  }

  async #write(wanted: SiteFile[]): Promise<{ changed: boolean }> {
    const files = await Promise.all(wanted.map((file) => this.#files.stateOf(file)));
    const changing = files.filter(({ text, present, loaded }) => present !== text || loaded !== text);
    if (changing.length === 0) {
      await this.#files.clearUnfinished(files);
      return { changed: false };
    }
    const needed = changing.filter(({ text }) => text !== undefined);
    let told = false;
    const onTold = () => {
      told = true;
    };
    try {
      for (const file of changing) await this.#files.keep(file);
      for (const file of changing) await this.#files.put(file);
      await this.#master.reload({ needed: pathsOf(needed), own: pathsOf(files), onTold });
    } catch (error) {
      for (const file of changing) await this.#files.restore(file);
      if (told && !isRefused(error)) await this.#readAgain(changing, error);
      await this.#forget(changing);
      throw error;
    }
    await this.#forget(changing);
    return { changed: true };
  }

  /** Once more where it fails: what is done by then must not look as if it were not. */
  #forget(files: FileState[]): Promise<void> {
    return this.#files.forget(files).catch(() => this.#files.forget(files));
  }

  async #remove(names: string[]): Promise<void> {
    const files = await Promise.all(names.map((name) => this.#files.stateOf({ name, text: undefined })));
    const there = files.filter(({ present, loaded }) => present !== undefined || loaded !== undefined);
    if (there.length === 0) return;
    for (const file of there) await this.#files.remove(file);
    await this.#forget(there);
    try {
      await this.#master.reload();
    } catch (error) {
      if (!(error instanceof CutoverError && error.code === "nginx_unreachable")) throw error;
    }
  }

  /**
   * Where something went wrong after nginx had been told, it may serve what was just taken back. What it still may have when
   * it cannot be told again is kept, so that the next write of the old text tells it.
   */
  async #readAgain(files: FileState[], error: unknown): Promise<void> {
    try {
      await this.#master.reload({ own: pathsOf(files) });
    } catch {
      for (const file of files) await this.#files.keepWanted(file);
      throw error;
    }
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof CutoverError && error.code === "nginx_config_broken";
}

function pathsOf(files: FileState[]): string[] {
  return files.map(({ path }) => path);
}
