import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { type ManifestFile, manifestDigest, manifestLimits } from "../../shared/manifest.ts";
import { parseJson } from "../../shared/plain-json.ts";
import { cacheDirectory, hideFromGit } from "../python/cache.ts";

/** What a host may have live: the manifests of a few earlier jobs. */
const kept = 8;

/**
 * The manifests of earlier jobs, in the project's cache directory. A host whose live release is one of them need not send
 * the list of its files. What is read here is checked by the digest that is its name, since whoever can write into a cache
 * of the workflow could put anything there. A cache that cannot be used is as good as none.
 */
export class ManifestCache {
  readonly #project: string;
  readonly #directory: string;

  constructor(project: string) {
    this.#project = project;
    this.#directory = join(project, cacheDirectory, "manifests");
  }

  /** The digests of the manifests that are here. */
  async digests(): Promise<string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.flatMap((name) => {
      const hex = /^([0-9a-f]{64})\.json\.zst$/.exec(name)?.[1];
      return hex === undefined ? [] : [`sha256:${hex}`];
    });
  }

  /** The files and the release of a manifest; undefined if it is not here, or is not what its name says. */
  async read(digest: string): Promise<{ release: string; files: ManifestFile[] } | undefined> {
    try {
      const packed = await readFile(this.#path(digest));
      const bytes = await promisify(zstdDecompress)(packed, { maxOutputLength: manifestLimits.bytes });
      if (manifestDigest(bytes) !== digest) return undefined;
      return parseJson(bytes.toString("utf8")) as { release: string; files: ManifestFile[] };
    } catch {
      return undefined;
    }
  }

  async keep(digest: string, manifest: Buffer): Promise<void> {
    try {
      await hideFromGit(this.#project);
      await mkdir(this.#directory, { recursive: true });
      await writeFile(this.#path(digest), await promisify(zstdCompress)(manifest));
      await this.#prune();
    } catch {
      // A read-only project, or a full disk: the next job asks the hosts.
    }
  }

  async #prune(): Promise<void> {
    const changed = async (name: string) => (await stat(join(this.#directory, name))).mtimeMs;
    const names = await readdir(this.#directory);
    const all = await Promise.all(names.map(async (name) => ({ name, at: await changed(name) })));
    const old = all.toSorted((a, b) => b.at - a.at).slice(kept);
    await Promise.all(old.map(({ name }) => rm(join(this.#directory, name), { force: true })));
  }

  #path(digest: string): string {
    return join(this.#directory, `${digest.slice("sha256:".length)}.json.zst`);
  }
}
