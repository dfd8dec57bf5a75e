import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync } from "node:fs";
import { join, posix } from "node:path";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { CutoverError } from "../../../shared/errors.ts";
import { leftOutOver, type ManifestFile } from "../../../shared/manifest.ts";
import { abortReason } from "../abort-reason.ts";
import type { AppLayout } from "../store/layout.ts";
import { type BundleBase, type BundleSink, wholeFile } from "./bundle-reader.ts";
import { bundleUnchanged } from "./bundle-stream.ts";
import { storedFiles } from "./stored-manifest.ts";

/** O_NONBLOCK: a pipe in a file's place would otherwise stop the agent until somebody writes to it. */
const plainFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const readPiece = promisify(read);

/** Each piece of a large file needs the thread pool twice, so pieces are large. In bytes. */
const pieceSize = 4 * wholeFile;

/** How much is copied with synchronous calls before the event loop gets its turn. */
const turn = { files: 100, bytes: 4 * 1024 * 1024 } as const;

/**
 * The release whose files a thin bundle leaves out. They are copied, never linked: nginx's ETag depends on a file's time, and
 * the app's user owns the new release while it is built.
 */
export class BaseRelease implements BundleBase {
  readonly has: (file: ManifestFile) => boolean;
  readonly #release: string;
  readonly #root: string;
  readonly #signal: AbortSignal;
  /** One buffer for all files: the sink is done with a piece before the next one. */
  readonly #scratch = Buffer.allocUnsafeSlow(pieceSize);
  /** Paths that are directories and not symlinks, from the release's directory down. */
  readonly #directories = new Set<string>(["."]);
  #turn = { files: 0, bytes: 0 };

  private constructor(release: string, root: string, files: ManifestFile[], signal: AbortSignal) {
    this.#release = release;
    this.#root = root;
    this.has = leftOutOver(files);
    this.#signal = signal;
  }

  /** @throws CutoverError base_unusable */
  static async open(layout: AppLayout, release: string, signal: AbortSignal): Promise<BaseRelease> {
    try {
      const { files } = await storedFiles(layout, release);
      return new BaseRelease(release, layout.release(release), files, signal);
    } catch (cause) {
      throw unusable(release, "whose manifest cannot be read", cause);
    }
  }

  /** @throws CutoverError base_unusable, aborted */
  async copy(file: ManifestFile, sink: BundleSink): Promise<void> {
    const opened = this.#open(file);
    try {
      const content =
        file.size <= wholeFile ? { whole: this.#whole(opened, file) } : { pieces: this.#pieces(opened, file) };
      if ((await sink.file(file, content)) !== file.sha256) throw this.#differs(file);
    } finally {
      closeSync(opened);
    }
    await this.#takeTurns(file.size);
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

  /** Thousands of files would otherwise block every other call until all are copied. */
  async #takeTurns(size: number): Promise<void> {
    this.#turn.files++;
    this.#turn.bytes += size;
    if (this.#turn.files < turn.files && this.#turn.bytes < turn.bytes) return;
    this.#turn = { files: 0, bytes: 0 };
    await setImmediate();
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
