import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Effect, effect } from "../../effects.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../store/durable.ts";
import { listIfExists, readIfExists } from "../store/read-if-exists.ts";

const mode = 0o644;

/** A file in conf_dir. Without text it must not exist. */
export interface SiteFile {
  name: string;
  /** The name of the effect that writes it; `site.write` unless given. */
  effect?: Effect;
  text: string | undefined;
}

/** The wanted text of a file, its present text, and the text that nginx has read. undefined: no file. */
export interface FileState {
  path: string;
  effect: Effect;
  text: string | undefined;
  present: string | undefined;
  loaded: string | undefined;
  /** Whether nginx may have another text than `loaded`, which is then the last that it certainly had. */
  unread: boolean;
}

/**
 * Files that nginx reads. Until nginx has read a new text, the old one is kept next to the file: after a crash in between, the
 * file alone would look as if nginx had read it.
 */
export class SiteFiles {
  readonly #directory: string;

  /** @param directory conf_dir */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** If a write was interrupted, nginx has the text that was kept. */
  async stateOf({ name, text, effect = "site.write" }: SiteFile): Promise<FileState> {
    const path = join(this.#directory, name);
    const present = await readIfExists(path);
    const before = await readIfExists(keptFile(path));
    const loaded = before === undefined ? present : before === "" ? undefined : before;
    // A write that was interrupted after its new text was there may have reloaded nginx, or not.
    const unread = loaded !== present || (await readIfExists(unreadFile(path))) !== undefined;
    return { path, effect, text, present, loaded, unread };
  }

  /** Keeps the text that nginx has. */
  keep({ path, loaded }: FileState): Promise<void> {
    return effect("nginx.keep", () => writeDurably(keptFile(path), loaded ?? "", mode), path);
  }

  /** Writes the wanted text, or removes the file. */
  async put({ path, text, effect: name }: FileState): Promise<void> {
    await effect(name, () => (text === undefined ? rm(path, { force: true }) : writeDurably(path, text, mode)), path);
  }

  /** Puts back the text that nginx has. Tries twice: nginx's next start must not read what it refuses. */
  async restore(file: FileState): Promise<void> {
    await effect("site.restore", () => this.#restore(file), file.path).catch(() => this.#restore(file));
  }

  /** By a rename of the kept file, which needs no space on a full disk. */
  async #restore({ path, loaded }: FileState): Promise<void> {
    if (loaded === undefined) return rm(path, { force: true });
    if ((await readIfExists(keptFile(path))) === undefined) return;
    await rename(keptFile(path), path);
    await syncDirectory(this.#directory);
  }

  /** For when nobody knows what nginx has: the next write reloads it, whatever the text is. An empty file needs no space. */
  async markUnread({ path }: FileState): Promise<void> {
    await writeDurably(unreadFile(path), "", mode);
  }

  /** What a killed agent left half done, in other files than these: nginx has, or had, another text than the present one. */
  async unfinished(except: string[]): Promise<FileState[]> {
    const kept = (await listIfExists(this.#directory)).filter((name) => name.endsWith(keptFile(".conf"))).toSorted();
    const names = kept.map((name) => name.slice(0, -keptFile("").length));
    const files = await Promise.all(names.map((name) => this.stateOf({ name, text: undefined })));
    return files.filter(({ path, present, loaded }) => present !== loaded && !except.includes(path));
  }

  /** Gives an unfinished file the text that nginx had. That one stays kept, so that the present one may come again. */
  async putBack(file: FileState): Promise<void> {
    await this.markUnread(file);
    await this.put({ ...file, effect: "site.restore", text: file.loaded });
  }

  /** The present texts are those that are kept. The marks stay: nobody knows which of its texts nginx has. */
  async dropKept(files: FileState[]): Promise<void> {
    for (const { path } of files) await rm(keptFile(path), { force: true });
    await syncDirectory(this.#directory);
  }

  /** nginx has read these files, so nothing needs to be kept. */
  async forget(files: FileState[]): Promise<void> {
    for (const { path } of files) {
      await effect("nginx.forget", () => rm(keptFile(path), { force: true }), path);
      await rm(unreadFile(path), { force: true });
    }
    await syncDirectory(this.#directory);
  }

  /** Removes what a killed agent left next to files that have the right text. */
  async clearUnfinished(files: FileState[]): Promise<void> {
    const left = await listIfExists(this.#directory);
    for (const { path } of files) {
      for (const file of [path, keptFile(path), unreadFile(path)])
        if (left.includes(`${basename(file)}.tmp`)) await removeUnfinished(file);
    }
    const kept = files.filter(({ path }) => left.includes(basename(keptFile(path))));
    if (kept.length > 0) await this.forget(kept);
  }
}

/** The kept text of a file. It does not end in .conf, so nginx does not include it. */
function keptFile(file: string): string {
  return `${file}.before`;
}

/** There while nobody knows whether nginx has read the file. */
function unreadFile(file: string): string {
  return `${file}.unread`;
}
