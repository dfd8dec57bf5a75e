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
import { copyFile } from "node:fs/promises";
import { dirname, join, posix, relative } from "node:path";
import { promisify } from "node:util";
import { type Config, siteOf } from "../../../shared/config.ts";
import { type ManifestFile, manifestName } from "../../../shared/manifest.ts";
import { type ObjectStore, objectName, objectTime } from "../store/objects.ts";
import { type FileContent, sha256Of } from "./bundle-reader.ts";

const exclusive = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const writePiece = promisify(write);

export interface ReleasePlace {
  /** The release's directory; it must not exist. */
  root: string;
  /** When the bundle was made, in ISO 8601. */
  created: string;
  objects: ObjectStore;
  /** Whether the owner of the files may not write to them either. */
  readOnly: boolean;
}

/**
 * Writes a release into a directory that it makes itself: directories, and in them links to the store's objects. A file that
 * the store does not have is written here first, and becomes an object when its digest was right. Small files are written
 * with synchronous calls: each takes microseconds, and thousands of them would otherwise wait for a thread. Large files are
 * not, so that a slow disk does not block the agent.
 */
export class ReleaseWriter {
  readonly #root: string;
  readonly #created: string;
  readonly #objects: ObjectStore;
  readonly #writable: number;
  readonly #made = new Set<string>(["."]);

  constructor({ root, created, objects, readOnly }: ReleasePlace) {
    this.#writable = readOnly ? 0o555 : 0o755;
    this.#root = root;
    this.#created = created;
    this.#objects = objects;
    mkdirSync(root, { mode: 0o755 });
    chmodSync(root, 0o755);
  }

  async manifest(content: FileContent, config: Config): Promise<void> {
    const time = new Date(this.#created);
    this.#write("config.json", Buffer.from(`${JSON.stringify(config)}\n`), { mode: 0o644, time });
    if ("whole" in content) this.#write(manifestName, content.whole, { mode: 0o644, time });
    else await this.#writeOwn(manifestName, content.pieces, time);
  }

  /** Takes a file from the store, unread: it was hashed when it was written. @returns false if the store does not have it */
  link(file: ManifestFile): boolean | Promise<boolean> {
    const name = objectName(file);
    const path = this.#pathOf(file.path);
    const linked = this.#objects.link(name, path, file.size);
    return linked === "impossible" ? this.#objects.copy(name, path).then(() => true) : linked === "linked";
  }

  /** @returns the sha256 of the content, in hex. If it is not that of the manifest, the file must not be used. */
  file(file: ManifestFile, content: FileContent): string | Promise<string> {
    return "whole" in content ? this.#whole(file, content.whole) : this.#pieces(file, content.pieces);
  }

  /**
   * The Action packs collected static files once, by URL. A symlink lets the project find them where it collected them, unless
   * it has something of its own there.
   */
  linkStatic(entries: Config["static"]): void {
    for (const { url, from } of entries) {
      const target = posix.normalize(`static${url}`).replace(/\/$/, "");
      const link = posix.normalize(`app/${from}`).replace(/\/$/, "");
      if ((target !== "static" && !target.startsWith("static/")) || !link.startsWith("app/")) continue;
      if (this.#kind(target) !== "directory" || this.#kind(link) !== undefined) continue;
      if (!this.#makeParents(link)) continue;
      symlinkSync(relative(dirname(link), target), join(this.#root, link));
    }
  }

  /** nginx may not enter `app/`, so the project's error page is linked into a directory of its own. */
  async linkPage(config: Config, files: ManifestFile[]): Promise<void> {
    const { error_page: page } = siteOf(config);
    if (page === undefined) return;
    const path = posix.join("app", page);
    const file = files.find((each) => each.path === path);
    if (file === undefined) return;
    const linked = await this.link({ ...file, path: posix.join("pages", page) });
    if (!linked) await copyFile(join(this.#root, path), this.#pathOf(posix.join("pages", page)));
  }

  #whole(file: ManifestFile, bytes: Buffer): string | Promise<string> {
    const sha256 = sha256Of(bytes);
    if (sha256 !== file.sha256) return sha256;
    const linked = this.link(file);
    if (linked !== false) return linked === true ? sha256 : linked.then(() => sha256);
    this.#write(file.path, bytes, { mode: file.mode, time: objectTime(this.#created, sha256) });
    this.#objects.keep(join(this.#root, file.path), objectName(file));
    return sha256;
  }

  /** A file of the release alone, which is no object. */
  async #writeOwn(name: string, pieces: AsyncIterable<Buffer>, time: Date): Promise<void> {
    const opened = openSync(join(this.#root, name), exclusive, 0o644);
    try {
      for await (const piece of pieces) await writeAll(opened, piece);
      this.#finish(opened, { mode: 0o644, time });
    } finally {
      closeSync(opened);
    }
  }

  async #pieces(file: ManifestFile, pieces: AsyncIterable<Buffer>): Promise<string> {
    const known = this.#objects.has(objectName(file));
    const hash = createHash("sha256");
    const path = this.#pathOf(file.path);
    const opened = known ? undefined : openSync(path, exclusive, file.mode);
    try {
      for await (const piece of pieces) {
        hash.update(piece);
        if (opened !== undefined) await writeAll(opened, piece);
      }
      if (opened !== undefined) this.#finish(opened, { mode: file.mode, time: objectTime(this.#created, file.sha256) });
    } finally {
      if (opened !== undefined) closeSync(opened);
    }
    const sha256 = hash.digest("hex");
    if (sha256 !== file.sha256) return sha256;
    if (!known) this.#objects.keep(path, objectName(file));
    else if (!(await this.link(file))) throw new Error(`the object of ${file.path} was removed while it was read`);
    return sha256;
  }

  #write(path: string, bytes: Buffer, how: { mode: number; time: Date }): void {
    const file = openSync(join(this.#root, path), exclusive, how.mode);
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
      this.#finish(file, how);
    } finally {
      closeSync(file);
    }
  }

  /** Sets the mode again, because the umask cleared bits of it, and the time. */
  #finish(file: number, { mode, time }: { mode: number; time: Date }): void {
    fchmodSync(file, mode & this.#writable);
    futimesSync(file, time, time);
  }

  /** A path in the release, whose directory is there. */
  #pathOf(path: string): string {
    this.#makeDirectory(path.slice(0, path.lastIndexOf("/")));
    return `${this.#root}/${path}`;
  }

  #makeDirectory(path: string): void {
    if (this.#made.has(path)) return;
    this.#makeDirectory(posix.dirname(path));
    // Others could enter while it is unpacked, and stay below. The project is opened to its app when it is whole.
    const mode = path === "app" ? 0o700 : 0o755;
    mkdirSync(join(this.#root, path), { mode });
    chmodSync(join(this.#root, path), mode);
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

async function writeAll(file: number, piece: Buffer): Promise<void> {
  for (let offset = 0; offset < piece.length; ) {
    offset += (await writePiece(file, piece, offset, piece.length - offset, null)).bytesWritten;
  }
}
