import { createHash } from "node:crypto";
import { closeSync, constants, type Dirent, fstatSync, openSync, read, readdirSync, rmSync, type Stats } from "node:fs";
import { join, posix } from "node:path";
import { promisify } from "node:util";
import {
  type Manifest,
  type ManifestFile,
  manifestDigest,
  manifestName,
  parseManifest,
} from "../../../shared/manifest.ts";
import { releaseId } from "../../../shared/names.ts";
import type { StoreFault, VerifiedReleases } from "../../contracts/ports.ts";
import { checksumBytes } from "../python/bytecode.ts";
import type { AppLayout } from "../store/layout.ts";
import { objectName, objectNames } from "../store/objects.ts";
import { listIfExists } from "../store/read-if-exists.ts";
import { storedManifest } from "./stored-manifest.ts";

const plainFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const readPiece = promisify(read);
const pieceSize = 1024 * 1024;

/** What a file holds: `sha256` of all of it, and whether its end is the sha256 of the rest, as that of bytecode is. */
interface Content {
  sha256: string;
  size: number;
  checked: boolean;
}

/**
 * Hashes everything of an app again: the objects, and what the releases have besides. An object that is not what its name says
 * loses its name, so that no release gets it from now on. Deployments may run meanwhile: what they remove is passed over.
 */
export async function verifyReleases(layout: AppLayout): Promise<VerifiedReleases> {
  const verifier = new Verifier(layout);
  await verifier.objects();
  const releases: VerifiedReleases["releases"] = [];
  for (const id of (await listIfExists(layout.releases)).toSorted()) {
    if (!releaseId.safeParse(id).success) continue;
    const digest = await verifier.release(id);
    if (digest !== undefined) releases.push({ id, digest });
  }
  const { files, bytes, faults } = verifier;
  return { releases, files, bytes, faults };
}

class Verifier {
  files = 0;
  bytes = 0;
  readonly faults: StoreFault[] = [];
  readonly #layout: AppLayout;
  /** Objects that are whole: their names, by inode. */
  readonly #whole = new Map<number, string>();
  readonly #piece = Buffer.allocUnsafe(pieceSize);

  constructor(layout: AppLayout) {
    this.#layout = layout;
  }

  async objects(): Promise<void> {
    for (const name of objectNames(this.#layout)) {
      const path = join(this.#layout.objects, name);
      const found = await this.#read(path);
      if (found === "missing") continue;
      if (found !== "no file" && isObject(name, found)) {
        this.#whole.set(found.ino, name);
        continue;
      }
      this.faults.push({ path: `objects/${name}`, what: "changed" });
      rmSync(path, { force: true, recursive: true });
    }
  }

  /** @returns the digest of its manifest; undefined if it is gone, or its manifest cannot be read */
  async release(id: string): Promise<string | undefined> {
    const root = this.#layout.release(id);
    const stored = await this.#manifest(id);
    if (stored === undefined) {
      if ((await listIfExists(root)).length > 0) this.faults.push({ release: id, path: manifestName, what: "changed" });
      return undefined;
    }
    const faults: StoreFault[] = [];
    let linked = false;
    for (const file of stored.manifest.files) {
      const { what, shared } = await this.#file(root, file);
      linked ||= shared;
      if (what !== undefined) faults.push({ release: id, path: file.path, what });
    }
    const config = await this.#read(this.#layout.config(id));
    const text = Buffer.from(`${JSON.stringify(stored.manifest.config)}\n`);
    const same = typeof config === "object" && config.sha256 === createHash("sha256").update(text).digest("hex");
    if (!same) faults.push({ release: id, path: "config.json", what: config === "missing" ? "missing" : "changed" });
    // Build steps could write into the releases of earlier agents.
    if (linked) faults.push(...(await this.#unexpected(id, stored.manifest.files)));
    // A deployment may have removed it in the meantime.
    if ((await listIfExists(root)).length > 0) this.faults.push(...faults);
    return stored.digest;
  }

  /** undefined if it is gone, or cannot be read. */
  async #manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    try {
      const bytes = await storedManifest(this.#layout, id);
      return { manifest: parseManifest(bytes), digest: manifestDigest(bytes) };
    } catch {
      return undefined;
    }
  }

  async #file(root: string, file: ManifestFile): Promise<{ what?: StoreFault["what"]; shared: boolean }> {
    const found = await this.#read(join(root, file.path));
    if (found === "missing") return { what: "missing", shared: false };
    if (found === "no file") return { what: "changed", shared: false };
    const shared = this.#whole.has(found.ino);
    const right = found.sha256 === file.sha256 && found.size === file.size;
    const runs = (found.mode & 0o111) !== 0;
    return right && runs === (file.mode === 0o755) ? { shared } : { what: "changed", shared };
  }

  /** What is in a release, and neither in its manifest nor cutover's own. */
  async #unexpected(id: string, files: ManifestFile[]): Promise<StoreFault[]> {
    const root = this.#layout.release(id);
    const known = new Set(files.map(({ path }) => path));
    const faults: StoreFault[] = [];
    for (const area of ["app", "static", "wheels", "pages"]) {
      for (const path of filesBelow(root, area)) {
        if (known.has(path)) continue;
        const found = await this.#read(join(root, path));
        if (typeof found === "object" && (this.#whole.has(found.ino) || (isBytecode(path) && found.checked))) continue;
        if (found !== "missing") faults.push({ release: id, path, what: "unexpected" });
      }
    }
    return faults;
  }

  /** Hashes a file, unless it is an object that was hashed before. */
  async #read(path: string): Promise<(Content & Pick<Stats, "ino" | "mode">) | "missing" | "no file"> {
    let opened: number;
    try {
      opened = openSync(path, plainFile);
    } catch (thrown) {
      const { code = "" } = thrown as NodeJS.ErrnoException;
      return code === "ENOENT" || code === "ENOTDIR" ? "missing" : "no file";
    }
    try {
      const status = fstatSync(opened);
      if (!status.isFile()) return "no file";
      const { ino, mode, size } = status;
      const name = this.#whole.get(ino);
      if (name !== undefined) return { sha256: sha256In(name), size, ino, mode, checked: true };
      this.files++;
      this.bytes += size;
      return { ...(await this.#hash(opened, size)), ino, mode };
    } finally {
      closeSync(opened);
    }
  }

  async #hash(opened: number, size: number): Promise<Content> {
    const all = createHash("sha256");
    const body = createHash("sha256");
    const end: Buffer[] = [];
    let at = 0;
    for (;;) {
      const { bytesRead } = await readPiece(opened, this.#piece, 0, this.#piece.length, at);
      if (bytesRead === 0) break;
      const piece = this.#piece.subarray(0, bytesRead);
      all.update(piece);
      const inBody = Math.max(0, Math.min(bytesRead, size - checksumBytes - at));
      body.update(piece.subarray(0, inBody));
      end.push(Buffer.from(piece.subarray(inBody)));
      at += bytesRead;
    }
    return { sha256: all.digest("hex"), size: at, checked: body.digest().equals(Buffer.concat(end)) };
  }
}

function isObject(name: string, { sha256, mode, checked }: Content & Pick<Stats, "mode">): boolean {
  if (isBytecode(name)) return checked;
  return objectName({ sha256, mode: (mode & 0o111) === 0 ? 0o644 : 0o755 }) === name;
}

function sha256In(name: string): string {
  return name.replace("/", "").slice(0, 64);
}

function isBytecode(path: string): boolean {
  return path.endsWith(".pyc");
}

/** Files, and what else is no directory, except links: `app/` has those that cutover makes, and they lead to files that are checked. */
function* filesBelow(root: string, directory: string): Generator<string> {
  let entries: Dirent[];
  try {
    entries = readdirSync(join(root, directory), { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    const path = posix.join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(root, path);
    else if (!entry.isSymbolicLink()) yield path;
  }
}
