import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync } from "node:fs";
import { join, posix } from "node:path";
import { promisify } from "node:util";
import { CutoverError } from "../../../shared/errors.ts";
import { leftOutOver, type ManifestFile } from "../../../shared/manifest.ts";
import { effectNow } from "../../effects.ts";
import { abortReason } from "../abort-reason.ts";
import type { AppLayout } from "../store/layout.ts";
import { Turns } from "../store/turns.ts";
import { type BundleBase, type BundleSink, wholeFile } from "./bundle-reader.ts";
import { bundleUnchanged } from "./bundle-stream.ts";
import type { ReleaseWriter } from "./release-writer.ts";
import { storedFiles } from "./stored-manifest.ts";

/** O_NONBLOCK: a pipe in a file's place would otherwise stop the agent until somebody writes to it. */
const plainFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const missing = { throwIfNoEntry: false } as const;
const readPiece = promisify(read);

/** Each piece of a large file needs the thread pool twice, so pieces are large. In bytes. */
const pieceSize = 4 * wholeFile;

interface BaseParts {
  layout: AppLayout;
  release: string;
  signal: AbortSignal;
}

/**
 * The release whose files a thin bundle leaves out. They are linked from the store. A file that the store does not have is
 * read and hashed: the base is of an agent from before there was a store, or links are impossible here.
 */
export class BaseRelease implements BundleBase {
  /** Whether its files are objects, as it seems. */
  readonly inStore: boolean;
  readonly has: (file: ManifestFile) => boolean;
  readonly #release: string;
  readonly #root: string;
  readonly #signal: AbortSignal;
  #writer: ReleaseWriter | undefined;
  readonly #turns = new Turns();
  /** One buffer for all files: the sink is done with a piece before the next one. */
  readonly #scratch = Buffer.allocUnsafeSlow(pieceSize);
  /** Paths that are directories and not symlinks, from the release's directory down. */
  readonly #directories = new Set<string>(["."]);

  private constructor({ layout, release, signal }: BaseParts, files: ManifestFile[]) {
    this.#release = release;
    this.#root = layout.release(release);
    this.#signal = signal;
    this.has = leftOutOver(files);
    const [first] = files;
    this.inStore = first !== undefined && (lstatSync(join(this.#root, first.path), missing)?.nlink ?? 0) > 1;
  }

  /** The release that gets its files. */
  writeTo(writer: ReleaseWriter): this {
    this.#writer = writer;
    return this;
  }

  /** @throws CutoverError base_unusable */
  static async open(parts: BaseParts): Promise<BaseRelease> {
    const { layout, release } = parts;
    try {
      const { files } = await storedFiles(layout, release);
      return new BaseRelease(parts, files);
    } catch (cause) {
      throw unusable(release, "whose manifest cannot be read", cause);
    }
  }

  /** @throws CutoverError base_unusable, aborted */
  async give(file: ManifestFile, sink: BundleSink): Promise<void> {
    if (await effectNow("object.link", () => this.#writer?.link(file) ?? false, file.path)) await this.#after(0);
    else await this.#read(file, sink);
  }

  async #read(file: ManifestFile, sink: BundleSink): Promise<void> {
    const opened = this.#open(file);
    try {
      const content =
        file.size <= wholeFile ? { whole: this.#whole(opened, file) } : { pieces: this.#pieces(opened, file) };
      if ((await sink.file(file, content)) !== file.sha256) throw this.#differs(file);
    } finally {
      closeSync(opened);
    }
    await this.#after(file.size);
  }

  #open(file: ManifestFile): number {
    let opened: number;
    try {
      // Check before opening: a build step could have put a symlink to /dev in a directory's place, and to open a device
      // can have effects.
      if (!this.#isDirectory(posix.dirname(file.path)) || !this.#status(file.path).isFile()) throw this.#differs(file);
      opened = openSync(join(this.#root, file.path), plainFile);
    } catch (cause) {
      throw cause instanceof CutoverError ? cause : this.#differs(file, cause);
    }
    const status = fstatSync(opened);
    if (status.isFile() && status.size === file.size) return opened;
    closeSync(opened);
    throw this.#differs(file);
  }

  #isDirectory(path: string): boolean {
    if (this.#directories.has(path)) return true;
    if (!this.#isDirectory(posix.dirname(path)) || !this.#status(path).isDirectory()) return false;
    this.#directories.add(path);
    return true;
  }

  #status(path: string) {
    return lstatSync(join(this.#root, path));
  }

  #whole(opened: number, file: ManifestFile): Buffer {
    const whole = this.#scratch.subarray(0, file.size);
    for (let at = 0; at < whole.length; ) {
      const count = readSync(opened, whole, at, whole.length - at, null);
      if (count === 0) throw this.#differs(file);
      at += count;
    }
    return whole;
  }

  async *#pieces(opened: number, file: ManifestFile): AsyncGenerator<Buffer> {
    for (let left = file.size; left > 0; ) {
      if (this.#signal.aborted) throw abortReason(this.#signal);
      const { bytesRead } = await readPiece(opened, this.#scratch, 0, Math.min(left, this.#scratch.length), null);
      if (bytesRead === 0) throw this.#differs(file);
      left -= bytesRead;
      yield this.#scratch.subarray(0, bytesRead);
    }
  }

  async #after(bytes: number): Promise<void> {
    const pause = this.#turns.after(bytes);
    if (pause === undefined) return;
    await pause;
    if (this.#signal.aborted) throw abortReason(this.#signal);
  }

  #differs({ path }: ManifestFile, cause?: unknown): CutoverError {
    return unusable(this.#release, `in which ${path} is no longer what was unpacked`, cause);
  }
}

function unusable(release: string, how: string, cause: unknown): CutoverError {
  return new CutoverError("base_unusable", `The bundle leaves out files of the release ${release}, ${how}.`, {
    unchanged: bundleUnchanged,
    fix: "Send the whole bundle; the Action does that by itself. Then find out what changes releases on the host.",
    cause,
  });
}
