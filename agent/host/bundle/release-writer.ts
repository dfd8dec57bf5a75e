import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  write,
  writeSync,
} from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { promisify } from "node:util";
import type { Config } from "../../../shared/config.ts";
import { type ManifestFile, manifestName } from "../../../shared/manifest.ts";
import { type FileContent, sha256Of } from "./bundle-reader.ts";

const exclusive = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const writePiece = promisify(write);

/**
 * Writes a release's files into a directory that it makes itself. Small files are written with synchronous calls: each takes
 * microseconds, and thousands of them would otherwise wait for a thread. Large files are not, so that a slow disk does not
 * block the agent.
 */
export class ReleaseWriter {
  readonly #root: string;
  readonly #time: Date;
  readonly #made = new Set<string>(["."]);

  /**
   * @param root must not exist
   * @param created becomes the time of every file, in ISO 8601. nginx makes its ETag from time and size: so it is the same on
   *   all hosts of a release, and differs in the next release even for a file of the same size.
   */
  constructor(root: string, created: string) {
    this.#root = root;
    this.#time = new Date(created);
    mkdirSync(root, { mode: 0o755 });
    chmodSync(root, 0o755);
  }

  async manifest(content: FileContent, config: Config): Promise<void> {
    this.#write("config.json", 0o644, Buffer.from(`${JSON.stringify(config)}\n`));
    if ("whole" in content) this.#write(manifestName, 0o644, content.whole);
    else await this.#writePieces(manifestName, 0o644, content.pieces);
  }

  /** @returns the sha256 of what was written, in hex */
  file({ path, mode }: ManifestFile, content: FileContent): string | Promise<string> {
    this.#makeDirectory(posix.dirname(path));
    if (!("whole" in content)) return this.#writePieces(path, mode, content.pieces);
    this.#write(path, mode, content.whole);
    return sha256Of(content.whole);
  }

  /**
   * The Action packs collected static files once, by URL. A symlink lets the project find them where it collected them, unless
   * it has something of its own there.
   */
  linkStatic(entries: Config["static"]): void {
    for (const { url, from } of entries) {
      const target = posix.normalize(`static${url}`).replace(/\/$/, "");
      const link = posix.normalize(`app/${from}`).replace(/\/$/, "");
      if (!target.startsWith("static/") || !link.startsWith("app/")) continue;
      if (this.#kind(target) !== "directory" || this.#kind(link) !== undefined) continue;
      if (!this.#makeParents(link)) continue;
      symlinkSync(relative(dirname(link), target), join(this.#root, link));
    }
  }

  #write(path: string, mode: number, bytes: Buffer): void {
    const file = openSync(join(this.#root, path), exclusive, mode);
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
      this.#finish(file, mode);
    } finally {
      closeSync(file);
    }
  }

  async #writePieces(path: string, mode: number, pieces: AsyncIterable<Buffer>): Promise<string> {
    const sha256 = createHash("sha256");
    const file = openSync(join(this.#root, path), exclusive, mode);
    try {
      for await (const piece of pieces) {
        sha256.update(piece);
        for (let offset = 0; offset < piece.length; ) {
          offset += (await writePiece(file, piece, offset, piece.length - offset, null)).bytesWritten;
        }
      }
      this.#finish(file, mode);
    } finally {
      closeSync(file);
    }
    return sha256.digest("hex");
  }

  /** Sets the mode again, because the umask cleared bits of it, and the time. */
  #finish(file: number, mode: number): void {
    fchmodSync(file, mode);
    futimesSync(file, this.#time, this.#time);
  }

  #makeDirectory(path: string): void {
    if (this.#made.has(path)) return;
    this.#makeDirectory(posix.dirname(path));
    mkdirSync(join(this.#root, path), { mode: 0o755 });
    chmodSync(join(this.#root, path), 0o755);
    this.#made.add(path);
  }

  /** @returns false if something other than a directory of the release is in the way */
  #makeParents(path: string): boolean {
    const parents = path.split("/").slice(0, -1);
    for (let depth = 1; depth <= parents.length; depth++) {
      const parent = parents.slice(0, depth).join("/");
      const kind = this.#kind(parent);
      if (kind === undefined) this.#makeDirectory(parent);
      else if (kind !== "directory") return false;
    }
    return true;
  }

  #kind(path: string): "directory" | "other" | undefined {
    const parent = posix.dirname(path);
    if (parent !== "." && this.#kind(parent) !== "directory") return undefined;
    const status = lstatSync(join(this.#root, path), { throwIfNoEntry: false });
    if (status === undefined) return undefined;
    return status.isDirectory() ? "directory" : "other";
  }
}
