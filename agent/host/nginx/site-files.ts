import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Effect, effect } from "../../effects.ts";
import { removeUnfinished, syncDirectory, writeDurably } from "../store/durable.ts";
import { listIfExists, readIfExists } from "../store/read-if-exists.ts";

const mode = 0o644;

/** A file below conf_dir; without text it is to be gone. */
export interface SiteFile {
  name: string;
  /** The name of its writing; `site.write` unless given. */
  effect?: Effect;
  text: string | undefined;
}

/** What is wanted of a file, what is in it, and what nginx has of it. */
export interface FileState {
  path: string;
  effect: Effect;
  text: string | undefined;
  present: string | undefined;
  loaded: string | undefined;
}

/**
 * Files that nginx reads, each with what nginx had of it kept beside it until it has read the new one: after a crash in
 * between the files alone would look as if it had.
 */
export class SiteFiles {
  readonly #directory: string;

  /** @param directory conf_dir */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What nginx has of a file is what was there before, where a write did not come to its end. */
  async stateOf({ name, text, effect = "site.write" }: SiteFile): Promise<FileState> {
    const path = join(this.#directory, name);
    const present = await readIfExists(path);
    const before = await readIfExists(keptFile(path));
    const loaded = before === undefined ? present : before === "" ? undefined : before;
    return { path, effect, text, present, loaded };
  }

  /** Keeps what nginx has. */
  keep({ path, loaded }: FileState): Promise<void> {
    return effect("nginx.keep", () => writeDurably(keptFile(path), loaded ?? "", mode), path);
  }

  async put({ path, text, effect: name }: FileState): Promise<void> {
    await effect(name, () => (text === undefined ? rm(path, { force: true }) : writeDurably(path, text, mode)), path);
  }

  /** Puts back what nginx has. Once more where it fails: what nginx refuses must not stay where its next start would read it. */
  async restore(file: FileState): Promise<void> {
    await effect("site.restore", () => this.#restore(file), file.path).catch(() => this.#restore(file));
  }

  /** By a rename of what was kept, which also a full disk has room for. */
  async #restore({ path, loaded }: FileState): Promise<void> {
    if (loaded === undefined) return rm(path, { force: true });
    if ((await readIfExists(keptFile(path))) === undefined) return;
    await rename(keptFile(path), path);
    await syncDirectory(this.#directory);
  }

  /** Nobody knows what nginx has: the next write of the old text is to tell it, so the wanted one is kept as what it has. */
  async keepWanted({ path, text }: FileState): Promise<void> {
    await writeDurably(keptFile(path), text ?? "", mode);
  }

  async remove({ path }: FileState): Promise<void> {
    await effect("site.remove", () => rm(path, { force: true }), path);
  }

  /** nginx has what is in these files. */
  async forget(files: FileState[]): Promise<void> {
    for (const { path } of files) {
      await effect("nginx.forget", () => rm(keptFile(path), { force: true }), path);
    }
    await syncDirectory(this.#directory);
  }

  /** What a killed agent left beside files that are as they should be. */
  async clearUnfinished(files: FileState[]): Promise<void> {
    const left = await listIfExists(this.#directory);
    for (const { path } of files) {
      for (const file of [path, keptFile(path)])
        if (left.includes(`${basename(file)}.tmp`)) await removeUnfinished(file);
    }
    const kept = files.filter(({ path }) => left.includes(basename(keptFile(path))));
    if (kept.length > 0) await this.forget(kept);
  }
}

/** Not *.conf, so nginx does not include it. */
function keptFile(file: string): string {
  return `${file}.before`;
}
