import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { ReleaseDirectories } from "../../../agent/host/bundle/releases.ts";
import { type AppLayout, appLayout } from "../../../agent/host/store/layout.ts";
import { CutoverError } from "../../../shared/errors.ts";
import type { Manifest } from "../../../shared/manifest.ts";
import { makeBundle } from "../../fixtures/bundle.ts";
import type { Body } from "./archive.ts";

/** The release that every victim has. */
export const liveRelease = "20261121T090000Z-3f2c1aa";
export const liveFiles = {
  "app/a.py": "a = 0\n",
  "app/kept/conf.py": "kept = 1\n",
  "app/kept/deep/data.bin": Buffer.alloc(300_000, "0123456789"),
};

/** A directory with an app and its live release, and beside it files that no bundle may touch. */
export class Victim implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "c-victim-"));
  readonly layout: AppLayout;
  readonly live: Manifest;
  readonly #releases: ReleaseDirectories;

  private constructor() {
    chmodSync(this.root, 0o755);
    for (const name of ["etc", "data"]) mkdirSync(join(this.root, name));
    writeFileSync(join(this.root, "etc/passwd"), "root:x:0:0\n");
    const data = join(this.root, "data");
    this.layout = appLayout(data, "shop");
    this.#releases = new ReleaseDirectories({ data, limits: { bundle: 1e9, free: 0 } });
    this.live = makeBundle({ files: liveFiles, release: liveRelease }).manifest;
  }

  static async start(): Promise<Victim> {
    const victim = new Victim();
    const { bytes, digest } = makeBundle({ files: liveFiles, release: liveRelease });
    await victim.unpack({ body: bytes, digest });
    await victim.#releases.sync("shop", liveRelease);
    return victim;
  }

  /** As a deploy does: only what the token names is taken. */
  unpack({ body, digest }: Body, { base, piece = 4096 }: { base?: string; piece?: number } = {}) {
    return this.#releases.unpack("shop", Readable.from(piecesOf(body, piece), { objectMode: false }), {
      accept: async (_, found) => {
        if (found !== digest)
          throw new CutoverError("manifest_mismatch", "The manifest is not the one that the token names.");
      },
      signal: AbortSignal.timeout(30_000),
      ...(base !== undefined && { base }),
    });
  }

  async refusalOf(body: Body, options: { base?: string; piece?: number } = {}): Promise<unknown> {
    return this.unpack(body, options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  }

  /** As a deploy that is undone does it. */
  async remove(release: string): Promise<void> {
    await this.#releases.remove("shop", release);
    await this.#releases.prune("shop");
  }

  /** The live release becomes one of an agent from before there was a store. */
  forgetObjects(): void {
    rmSync(this.layout.objects, { recursive: true });
    mkdirSync(this.layout.objects, { mode: 0o700 });
  }

  /** Every file, directory and link below the root, with all that could be changed of it. */
  snapshot(): string[] {
    return describeTree(this.root);
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

function* piecesOf(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function describeTree(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .toSorted()
    .map((path) => `${path} ${describe(join(root, path))}`);
}

function describe(path: string): string {
  const { mode, uid, gid, nlink, ino, size, mtimeMs } = lstatSync(path);
  const status = `${mode.toString(8)} ${uid}:${gid}`;
  const kind = mode & 0o170000;
  if (kind === 0o040000) return status;
  if (kind === 0o120000) return `${status} -> ${readlinkSync(path)}`;
  if (kind !== 0o100000) return `${status} ${ino}`;
  return `${status} ${nlink} ${ino} ${size} ${mtimeMs} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
}
